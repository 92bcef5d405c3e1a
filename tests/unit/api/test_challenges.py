"""`WWW-Authenticate`, for callers of this service and as advice to theirs."""

from __future__ import annotations

import re

import pytest

from policy_service.api.challenges import decision_challenge, service_challenge
from policy_service.model.decision import Decision
from policy_service.model.reasons import REASONS
from tests.unit.api.desk import Desk
from tests.unit.service.house import House


def decision(reason: str, workspace: str | None = "acme") -> Decision:
    """A decision with a built-in reason."""
    known = REASONS[reason]
    return Decision(
        allowed=reason == "allowed",
        reason=reason,
        http_status=known.http_status,
        message=known.message,
        check=known.check,
        rule=None,
        now=0,
        revision=1,
        bundle="",
        workspace=workspace,
    )


def test_without_credentials_there_is_no_error_code() -> None:
    """RFC 6750 section 3.1."""
    assert service_challenge("missing_credentials", "decisions:evaluate") == 'Bearer realm="policy-service"'


@pytest.mark.parametrize("reason", ["malformed_key", "unknown_key", "revoked_key", "expired_key", "key_not_yet_valid"])
def test_a_key_that_is_not_good_is_an_invalid_token(reason: str) -> None:
    """With a description that people understand."""
    told = service_challenge(reason, "decisions:evaluate")
    assert (
        told == f'Bearer realm="policy-service", error="invalid_token", error_description="{REASONS[reason].message}"'
    )


@pytest.mark.parametrize("reason", ["insufficient_scope", "role_not_granted"])
def test_a_key_that_does_not_reach_far_enough_is_told_the_scope(reason: str) -> None:
    """RFC 6750 section 3.1, `insufficient_scope`."""
    told = service_challenge(reason, "decisions:evaluate")
    assert told == 'Bearer realm="policy-service", error="insufficient_scope", scope="decisions:evaluate"'


@pytest.mark.parametrize("reason", ["ip_not_allowed", "principal_suspended", "operator_only"])
def test_other_refusals_carry_a_plain_challenge(reason: str) -> None:
    """Another key might help; nothing is wrong with the token or its scopes."""
    assert service_challenge(reason, None) == 'Bearer realm="policy-service"'


@pytest.mark.parametrize("reason", REASONS)
def test_a_decision_advises_a_challenge_where_another_key_would_help(reason: str) -> None:
    """For every 401 and for `insufficient_scope`; else null."""
    told = decision_challenge(decision(reason), "pipelines:run")
    expected = REASONS[reason].http_status == 401 or reason == "insufficient_scope"
    assert (told is not None) == expected
    if told is not None:
        assert told.startswith('Bearer realm="acme"')
        assert told.isascii()


def test_a_scope_that_would_break_the_header_is_left_out() -> None:
    """Header injection has no way in."""
    for scope in ('a"b', "a b", "a\r\nb", "ä"):
        told = decision_challenge(decision("insufficient_scope", None), scope)
        assert told == 'Bearer realm="api", error="insufficient_scope"'


QUOTED = r'"[\x20-\x21\x23-\x5b\x5d-\x7e]*"'


@pytest.mark.parametrize("reason", [reason for reason, known in REASONS.items() if known.http_status != 200])
def test_every_challenge_is_well_formed(reason: str) -> None:
    """RFC 6750 section 3, for every reason there is: a realm, at most one error, and only the characters it allows."""
    status = REASONS[reason].http_status
    for text in (service_challenge(reason, "pipelines:run"), decision_challenge(decision(reason), "pipelines:run")):
        if text is None:
            continue
        assert re.fullmatch(rf"Bearer realm={QUOTED}(, (error|error_description|scope)={QUOTED})*", text), text
        error = re.findall(r'error="(\w+)"', text)
        if status == 401:
            assert error == ([] if reason == "missing_credentials" else ["invalid_token"])
        else:
            assert error in ([], ["insufficient_scope"])
        assert ("scope=" in text) == (error == ["insufficient_scope"])


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "challenge"),
    [
        ("GET", "/v1/users", [], 401, 'Bearer realm="policy-service"'),
        ("GET", "/v1/users", [("Authorization", "Basic dTpw")], 401, 'Bearer realm="policy-service"'),
        (
            "GET",
            "/v1/users",
            [("Authorization", "Bearer a b")],
            401,
            'Bearer realm="policy-service", error="invalid_token", error_description="The API key is malformed."',
        ),
        (
            "GET",
            "/v1/users",
            [("Authorization", "Bearer psx_1"), ("Authorization", "Bearer psx_2")],
            400,
            'Bearer realm="policy-service", error="invalid_request", '
            'error_description="The request shows more than one API key."',
        ),
        (
            "POST",
            "/decide",
            [("Authorization", "Bearer psx_1"), ("X-Planasonix-Api-Key", "psx_2")],
            400,
            'Bearer realm="policy-service", error="invalid_request", '
            'error_description="The request shows more than one API key."',
        ),
        (
            "POST",
            "/decide?access_token=psx_1",
            [],
            400,
            'Bearer realm="policy-service", error="invalid_request", '
            'error_description="API keys are not read from the URL."',
        ),
        (
            "GET",
            "/v1/users?limit=1&access%5ftoken=x&access_token=psx_1",
            [("Authorization", "Bearer psx_1")],
            400,
            'Bearer realm="policy-service", error="invalid_request", '
            'error_description="API keys are not read from the URL."',
        ),
    ],
)
def test_each_way_of_showing_no_good_key_has_its_challenge(
    tenant: Desk, method: str, path: str, headers: list[tuple[str, str]], status: int, challenge: str
) -> None:
    """401 and 400; the key itself is never in the answer."""
    answer = tenant.call(method, path, key=None, headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (status, challenge), answer.text
    assert "psx_" not in answer.text + answer.headers["www-authenticate"]


def test_a_good_key_without_the_scope_is_told_which(house: House) -> None:
    """403 `insufficient_scope`, with the scope that is missing."""
    key = house.key("acme", principal="weak", scopes=("pipelines:run",)).text
    with Desk(house, key=key) as desk:
        told = desk.call("GET", "/v1/users").headers["www-authenticate"]
    assert told == 'Bearer realm="policy-service", error="insufficient_scope", scope="admin:organization"'


def test_other_mistakes_have_no_challenge(tenant: Desk) -> None:
    """A bad body or a missing user is no matter of credentials."""
    for method, path in (("PUT", "/v1/users/x"), ("GET", "/v1/users/nobody"), ("GET", "/v1/users?x=1")):
        assert "www-authenticate" not in tenant.call(method, path).headers
