"""`WWW-Authenticate`, for callers of this service and as advice to theirs."""

from __future__ import annotations

import pytest

from policy_service.api.challenges import decision_challenge, service_challenge
from policy_service.model.decision import Decision
from policy_service.model.reasons import REASONS


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
