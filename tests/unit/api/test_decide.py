"""`POST /decide`: the answer's shape, who may ask, and in which order things are checked."""

from __future__ import annotations

import asyncio

import pytest

from policy_service.api.decide import answer_decide
from policy_service.api.incoming import Incoming
from policy_service.model.errors import StoreError
from policy_service.model.facts import AllowlistEntry
from policy_service.model.instants import format_rfc3339
from tests.unit.api.desk import ADMIN_SCOPES, Desk, problem_code, question
from tests.unit.service.house import OPERATOR, House

MEMBERS = [
    "decision", "reason", "http_status", "www_authenticate", "message", "check", "rule", "decision_id", "decided_at",
    "revision", "bundle", "key_id", "principal", "workspace",
]  # fmt: skip


def test_an_allow_has_the_whole_shape(operator: Desk) -> None:
    """Every member of the contract, in its order."""
    issued = operator.house.key()
    answer = operator.decide(key=issued.text)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    document = answer.json()
    assert list(document) == MEMBERS
    assert document["decision_id"]
    assert document["bundle"].startswith("sha256:")
    expected = {
        "decision": "allow",
        "reason": "allowed",
        "http_status": 200,
        "www_authenticate": None,
        "check": None,
        "rule": None,
        "decided_at": format_rfc3339(operator.house.clock.now()),
        "revision": operator.head(),
        "key_id": issued.api_key.id,
        "principal": {"kind": "service", "id": "ci"},
        "workspace": "acme",
    }
    assert expected.items() <= document.items()


def test_a_deny_is_a_200_that_says_what_to_answer(operator: Desk) -> None:
    """With the challenge for the client of the asking service."""
    answer = operator.decide(key=operator.house.key(scopes=("pipelines:read",)).text)
    assert answer.status_code == 200
    document = answer.json()
    assert (document["decision"], document["reason"], document["http_status"]) == ("deny", "insufficient_scope", 403)
    assert document["www_authenticate"] == 'Bearer realm="acme", error="insufficient_scope", scope="pipelines:run"'
    assert document["check"] == "scope"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "missing_credentials"),
        ("", "malformed_key"),
        ("psx_", "malformed_key"),
        ("\x00", "malformed_key"),
        ("psx_\x7f\x85\n", "malformed_key"),
        ("k" * 60_000, "malformed_key"),
        ("schlüssel", "malformed_key"),
    ],
)
def test_whatever_key_a_stranger_presents_makes_a_decision(operator: Desk, key: str | None, reason: str) -> None:
    """Control characters, too: the text is not the asking service's mistake."""
    document = operator.decide(key=key).json()
    assert (document["reason"], document["http_status"]) == (reason, 401)
    assert document["www_authenticate"].startswith('Bearer realm="api"')
    assert (document["key_id"], document["principal"], document["workspace"]) == (None, None, None)


def test_a_source_ip_with_control_characters_makes_a_decision(operator: Desk) -> None:
    """An invalid address fails its check; it is no bad body."""
    document = operator.decide(key=operator.house.key().text, source_ip="203.0.113.7\n").json()
    assert document["reason"] == "invalid_source_ip"


def test_the_allowlist_holds_from_the_next_question(operator: Desk) -> None:
    """With absent, listed and other addresses."""
    key = operator.house.key().text
    operator.house.admin.put_allowlist(OPERATOR, "acme", enabled=True, entries=(AllowlistEntry(cidr="203.0.113.0/24"),))
    operator.house.replica.catch_up()
    reasons = [operator.decide(key=key, source_ip=ip).json()["reason"] for ip in (None, "203.0.113.7", "192.0.2.1")]
    assert reasons == ["invalid_source_ip", "allowed", "ip_not_allowed"]


def test_the_two_forms_of_a_resource_are_one(operator: Desk) -> None:
    """Text is split at the first colon; only an object can name a workspace."""
    key = operator.house.key().text
    operator.house.admin.put_resource(OPERATOR, "acme", "pipeline", "a:b/c")
    operator.house.replica.catch_up()
    as_text = operator.decide(key=key, resource="pipeline:a:b/c").json()
    as_object = operator.decide(key=key, resource={"type": "pipeline", "id": "a:b/c"}).json()
    assert as_text["decision"] == as_object["decision"] == "allow"
    assert operator.decide(key=key, resource="pipeline:other").json()["reason"] == "unknown_resource"


def test_an_undeclared_scope_is_a_decision(operator: Desk) -> None:
    """Policies change; the asking service is not at fault."""
    document = operator.decide(key=operator.house.key().text, scope="no such\tscope"[:7]).json()
    assert document["reason"] == "unknown_scope"


def test_explain_adds_the_checks(operator: Desk) -> None:
    """One entry for each check of the chain, in its order."""
    answer = operator.call("POST", "/decide?explain=true", question(key=operator.house.key().text))
    document = answer.json()
    assert list(document) == [*MEMBERS, "checks"]
    assert [check["check"] for check in document["checks"]] == [
        "credential", "revocation", "workspace", "scope", "rbac", "resource_policy", "ip_allowlist",
    ]  # fmt: skip
    members = {"check", "name", "outcome", "reason", "rule", "detail", "values"}
    assert all(set(check) == members for check in document["checks"])
    assert "checks" not in operator.call("POST", "/decide?explain=false", question()).json()


def test_explain_needs_a_scope_of_its_own(house: House) -> None:
    """`decisions:explain`, in addition."""
    for scopes, status in (
        (("decisions:evaluate",), 403),
        (("decisions:explain",), 403),
        (("decisions:evaluate", "decisions:explain"), 200),
    ):
        key = house.key("system", principal="gw", scopes=scopes).text
        house.replica.catch_up()
        with Desk(house, key=key) as desk:
            answer = desk.call("POST", "/decide?explain=true", question())
            assert answer.status_code == status, scopes


def test_a_caller_without_a_key_is_challenged(operator: Desk) -> None:
    """401 with a bare challenge."""
    answer = operator.call("POST", "/decide", question(), key=None)
    assert problem_code(answer, 401) == "missing_credentials"
    assert answer.headers["www-authenticate"] == 'Bearer realm="policy-service"'


def test_a_caller_with_a_wrong_key_is_refused_by_reason(operator: Desk) -> None:
    """The code is the reason; the key is not repeated."""
    for key, code in (("psx_x", "malformed_key"), (operator.house.key().text, "insufficient_scope")):
        answer = operator.call("POST", "/decide", question(), key=key)
        assert problem_code(answer, 401 if code == "malformed_key" else 403) == code
        assert key not in answer.text
    assert 'error="insufficient_scope", scope="decisions:evaluate"' in answer.headers["www-authenticate"]


def test_size_comes_first_then_the_caller_then_the_body(operator: Desk) -> None:
    """A stranger learns nothing about bodies."""
    bad = b"{"
    assert problem_code(operator.call("POST", "/decide", key=None, content=b" " * 65_537), 413) == "body_too_large"
    assert problem_code(operator.call("POST", "/decide", key=None, content=bad), 401) == "missing_credentials"
    assert problem_code(operator.call("POST", "/decide?x=1", key=None, content=bad), 401) == "missing_credentials"
    assert problem_code(operator.call("POST", "/decide", content=bad), 400) == "invalid_json"


def test_a_caller_of_a_workspace_does_not_know_keys_of_others(tenant: Desk) -> None:
    """Tenants are walls."""
    own, other = tenant.house.key().text, tenant.house.key("zeta").text
    assert tenant.decide(key=own).json()["reason"] == "allowed"
    document = tenant.decide(key=other).json()
    assert (document["reason"], document["key_id"], document["workspace"]) == ("unknown_key", None, None)


def test_a_revision_ahead_of_the_store_is_the_callers_mistake(operator: Desk) -> None:
    """400 `revision_unknown`, at once."""
    operator.decide()
    answer = operator.decide(min_revision=operator.head() + 1)
    assert problem_code(answer, 400) == "revision_unknown"
    assert operator.decide(min_revision=operator.head()).status_code == 200


def test_a_newer_revision_is_waited_for(operator: Desk) -> None:
    """A change of another process is seen where it is asked for."""
    issued = operator.house.key()
    assert operator.decide(key=issued.text).json()["decision"] == "allow"
    revoked = operator.house.admin.revoke_key(OPERATOR, "acme", issued.api_key.id)
    assert operator.decide(key=issued.text).json()["decision"] == "allow"
    document = operator.decide(key=issued.text, min_revision=revoked.revision).json()
    assert (document["reason"], document["revision"]) == ("revoked_key", revoked.revision)


def test_a_revision_not_reached_in_time_is_503_stale(operator: Desk) -> None:
    """With the seconds after which to try again; never an older answer."""
    operator.decide()
    operator.house.key()
    operator.house.store.changes_after = lambda revision, limit: []
    answer = operator.decide(min_revision=operator.head())
    assert problem_code(answer, 503) == "stale"
    assert answer.headers["retry-after"] == "1"


def test_a_decision_that_cannot_be_recorded_is_not_given(operator: Desk) -> None:
    """503, never an allow."""
    operator.house.sink.broken = StoreError("ledger_full", "the ledger has no room left")
    assert problem_code(operator.decide(key=operator.house.key().text), 503) == "ledger_full"


def test_the_plain_function_gives_the_routes_answer(operator: Desk) -> None:
    """Byte for byte, but for the decision's own id: another way in may call it."""
    key = operator.house.key().text
    answer = operator.decide(key=key)
    request = answer.request
    headers = tuple((name.lower(), value) for name, value in request.headers.raw)
    incoming = Incoming(headers, "192.0.2.7", b"", asyncio.run(request.aread()))
    held = answer_decide(operator.app.state.site.point, incoming)
    assert held is not None
    reply = held.value()
    assert (reply.status, dict(reply.headers).items() <= dict(answer.headers).items()) == (200, True)
    first, second = answer.json()["decision_id"], f"D{int(answer.json()['decision_id'][1:]) + 1:021d}"
    assert reply.body.replace(second.encode(), first.encode()) == answer.content


def test_answers_show_no_key(operator: Desk) -> None:
    """Neither the presented one nor the caller's."""
    key = operator.house.key(scopes=ADMIN_SCOPES).text
    answer = operator.call("POST", "/decide?explain=true", question(key=key))
    assert key not in answer.text
    assert key[-28:] not in answer.text
    assert str(operator.key) not in answer.text


def test_a_caller_is_judged_on_the_facts_it_asked_for(house: House) -> None:
    """A caller whose own key was revoked elsewhere gets no answer from older facts, alone or in a batch."""
    issued = house.key("system", principal="gw", scopes=("decisions:evaluate",))
    house.replica.catch_up()
    revoked = house.admin.revoke_key(OPERATOR, "system", issued.api_key.id)
    asked = question(min_revision=revoked.revision)
    for path, body in (("/decide", asked), ("/decide/batch", {"requests": [asked]})):
        with Desk(house, key=issued.text) as desk:
            assert desk.decide().status_code == (200 if path == "/decide" else 401)
            assert problem_code(desk.call("POST", path, body), 401) == "revoked_key"
