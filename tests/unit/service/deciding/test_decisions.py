"""Decide and record: reach, freshness, batches, and the sink that comes before the answer."""

from __future__ import annotations

import pytest

from policy_service.model.api_key import format_api_key
from policy_service.model.errors import PolicyServiceError, RequestError, StoreError
from policy_service.model.request import Credential
from policy_service.service import peppers as peppers_module
from policy_service.service.deciding.decisions import Answered
from policy_service.service.following import replica as replica_module
from tests.fakes import START
from tests.unit.service.house import OPERATOR, TENANT, House, ask


def _answer(item: Answered | PolicyServiceError) -> Answered:
    assert isinstance(item, Answered)
    return item


def test_a_service_key_with_the_scope_is_allowed(house: House) -> None:
    """The answer names key, principal, workspace, instant, revision and bundle."""
    issued = house.key()
    answered = house.decide(issued.text)
    decision = answered.decision
    assert (decision.allowed, decision.reason) == (True, "allowed")
    assert (decision.key_id, decision.principal_kind, decision.principal_id, decision.workspace) == (
        issued.api_key.id,
        "service",
        "ci",
        "acme",
    )
    assert (decision.now, decision.revision) == (START, house.store.head())
    assert decision.bundle == house.bundles.active()


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "missing_credentials"),
        ("", "malformed_key"),
        ("x" * 1_000_000, "malformed_key"),
        ("a\0b", "malformed_key"),
    ],
)
def test_nothing_and_nonsense_are_decisions_not_errors(house: House, key: str | None, reason: str) -> None:
    """A denial is a value."""
    assert house.decide(key).decision.reason == reason


def test_nonsense_is_never_hashed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither to check it nor to record it: a stranger's megabyte costs nothing."""
    house.replica.catch_up()
    monkeypatch.setattr(peppers_module, "hmac", None)
    answered = house.decisions.decide(OPERATOR, ask("psx_" + "0" * 1_000_000)).value()
    assert answered.decision.reason == "malformed_key"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"workspace": "zeta"}, "workspace_mismatch"),
        ({"workspace": None}, "unknown_resource"),
        ({"scope": "no:such"}, "unknown_scope"),
        ({"scope": "admin:organization"}, "scope_resource_mismatch"),
        ({"resource": "pipeline:locked-1"}, "locked"),
        ({"source_ip": "010.0.0.1"}, "invalid_source_ip"),
    ],
)
def test_what_is_asked_reaches_the_engine(house: House, more: dict[str, str], reason: str) -> None:
    """Workspace, scope, resource and address, as the caller gave them."""
    assert house.decide(house.key().text, **more).decision.reason == reason


def test_a_key_of_another_workspace_is_unknown(house: House) -> None:
    """To a caller outside `system`; nothing of it is told, not even to the record."""
    issued = house.key("zeta")
    answered = house.decide(issued.text, caller=TENANT, workspace="zeta")
    assert answered.decision.reason == "unknown_key"
    assert (answered.decision.key_id, answered.decision.workspace) == (None, None)
    recorded = house.sink.decided[-1]
    assert recorded.request.credential == Credential("unknown")
    assert house.decide(issued.text, caller=OPERATOR, workspace="zeta").decision.allowed
    assert house.decide(house.key("acme").text, caller=TENANT).decision.allowed


def test_each_decision_is_recorded_before_it_is_answered(house: House) -> None:
    """With the caller, the request without its secret, the decision, and the caller's own id."""
    issued = house.key()
    named = {"id": "mine", "request_id": "r1", "trace_id": "a" * 32}
    answered = house.decide(issued.text, caller=TENANT, source_ip="192.0.2.1", context={"a": 1}, **named)
    (recorded,) = house.sink.decided
    assert (recorded.decision_id, recorded.decision) == (answered.decision_id, answered.decision)
    assert (recorded.caller, recorded.batch_id, recorded.explained) == (TENANT, None, False)
    assert (recorded.item_id, recorded.request_id, recorded.trace_id) == ("mine", "r1", "a" * 32)
    assert recorded.request.credential == Credential("verified", issued.api_key.id, 1)
    assert (recorded.request.source_ip, recorded.request.context) == ("192.0.2.1", {"a": 1})
    assert answered.id == "mine"


def test_an_unknown_key_is_recorded_by_its_fingerprint(house: House) -> None:
    """The record tells equal keys, and no key; a known key needs none, and nonsense has none."""
    text = format_api_key("psx", "K99999999999", "s" * 22)
    for _ in range(2):
        house.decide(text)
    house.decide(house.key("zeta").text, caller=TENANT)
    for known_or_nonsense in (house.key().text, "malformed", "", None):
        house.decide(known_or_nonsense)
    prints = [recorded.key_fingerprint for recorded in house.sink.decided]
    assert prints[0] == prints[1] == house.credentials.fingerprint(text)
    assert prints[2] not in (None, prints[0])
    assert prints[3:] == [None] * 4
    assert text not in repr(house.sink.decided)


def test_a_sink_that_fails_leaves_everybody_without_an_answer(house: House) -> None:
    """503, never an unrecorded allow."""
    key = house.key().text
    house.replica.catch_up()
    house.sink.broken = StoreError("ledger_full", "the disk is full")
    for use in (
        lambda: house.decisions.decide(OPERATOR, ask(key)),
        lambda: house.decisions.explain(OPERATOR, ask(key)),
        lambda: house.decisions.decide_batch(OPERATOR, [ask(key)]),
    ):
        with pytest.raises(StoreError) as raised:
            use().value()
        assert raised.value.code == "ledger_full"


def test_without_an_active_policy_nothing_is_decided(bare: House) -> None:
    """503 `no_policy`, and nothing is recorded."""
    with pytest.raises(StoreError) as raised:
        bare.decide(None)
    assert raised.value.code == "no_policy"
    assert bare.sink.calls == 0


def test_an_explanation_carries_the_same_decision(house: House) -> None:
    """It is recorded as explained; every check of the chain is there."""
    issued = house.key(scopes=("pipelines:read",))
    house.replica.catch_up()
    answered, explanation = house.decisions.explain(OPERATOR, ask(issued.text)).value()
    assert answered.decision == explanation.decision == house.decide(issued.text).decision
    assert answered.decision.reason == "insufficient_scope"
    assert [check.check for check in explanation.checks][:4] == ["credential", "revocation", "workspace", "scope"]
    assert [recorded.explained for recorded in house.sink.decided] == [True, False]


def test_min_revision_is_waited_for(house: House) -> None:
    """A revision the store has is reached before deciding; one it has not is the caller's mistake."""
    issued = house.key()
    head = issued.written.revision
    answered = house.decisions.decide(OPERATOR, ask(issued.text, min_revision=head)).value()
    assert (answered.decision.allowed, answered.decision.revision) == (True, head)
    for use in (house.decisions.decide, house.decisions.explain):
        with pytest.raises(RequestError) as raised:
            use(OPERATOR, ask(issued.text, min_revision=head + 1))
        assert raised.value.code == "revision_unknown"


def test_removal_holds_for_every_decision_that_has_seen_it(house: House) -> None:
    """`min_revision` of the answer to the change makes it strict."""
    user = house.key(kind="user", principal="ada")
    house.admin.put_team(TENANT, "acme", "ops")
    house.admin.create_binding(TENANT, "acme", "operator", team="ops")
    house.admin.add_member(TENANT, "acme", "ops", "ada")
    assert house.decide(user.text).decision.allowed
    removed = house.admin.remove_member(TENANT, "acme", "ops", "ada")
    answered = house.decisions.decide(OPERATOR, ask(user.text, min_revision=removed.revision)).value()
    assert answered.decision.reason == "role_not_granted"


def test_a_batch_sees_one_snapshot_and_one_now(house: House) -> None:
    """Whatever the clock does meanwhile; each item has its own decision id, all one batch id."""
    house.clock.step_ns = 1_000_000
    allowed, denied = house.key(), house.key(principal="cd", scopes=("pipelines:read",))
    house.replica.catch_up()
    items = [ask(allowed.text, id="a"), ask(denied.text, id="b"), ask(None)]
    answers = [_answer(item) for item in house.decisions.decide_batch(OPERATOR, items).value()]
    assert [answer.decision.reason for answer in answers] == ["allowed", "insufficient_scope", "missing_credentials"]
    assert [answer.id for answer in answers] == ["a", "b", None]
    assert len({answer.decision.now for answer in answers}) == 1
    assert len({answer.decision.revision for answer in answers}) == 1
    assert len({answer.decision_id for answer in answers}) == 3
    assert house.sink.calls == 1
    (batch_id,) = {recorded.batch_id for recorded in house.sink.decided}
    assert batch_id is not None


def test_an_items_own_trouble_stands_in_its_place(house: House) -> None:
    """The other items are decided, on a snapshot new enough for all of them."""
    issued = house.key()
    head = house.store.head()
    asks = [ask(issued.text, min_revision=head + 9), ask(issued.text), ask(issued.text, min_revision=head)]
    first, second, third = house.decisions.decide_batch(OPERATOR, asks).value()
    assert isinstance(first, RequestError)
    assert first.code == "revision_unknown"
    assert _answer(second).decision.revision == _answer(third).decision.revision == head
    assert len(house.sink.decided) == 2


def test_a_stale_item_is_told_and_a_broken_store_breaks_the_batch(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stale is about one item; an unreachable store is about all."""
    issued = house.key()
    house.replica.catch_up()
    house.admin.put_user(TENANT, "acme", "ada")
    head = house.store.head()
    monkeypatch.setattr(replica_module, "WAIT_NS", -1)
    both = [ask(issued.text, min_revision=head), ask(issued.text)]
    stale, fine = house.decisions.decide_batch(OPERATOR, both).value()
    assert isinstance(stale, StoreError)
    assert stale.code == "stale"
    assert _answer(fine).decision.allowed
    house.store.broken = StoreError("store_unreachable", "the database cannot be reached")
    with pytest.raises(StoreError) as raised:
        house.decisions.decide_batch(OPERATOR, [ask(issued.text, min_revision=head)])
    assert raised.value.code == "store_unreachable"


def test_an_empty_batch_is_an_empty_answer(house: House) -> None:
    """How many items a batch may have is the API's to judge."""
    house.replica.catch_up()
    assert house.decisions.decide_batch(OPERATOR, []).value() == []


def test_a_diverged_store_ends_all_deciding(house: House) -> None:
    """Every use is a store error from then on."""
    issued = house.key()
    house.replica.catch_up()
    house.store.changes.append(house.store.changes[0])
    with pytest.raises(StoreError):
        house.replica.catch_up()
    for use in (
        lambda: house.decisions.decide(OPERATOR, ask(issued.text)),
        lambda: house.decisions.explain(OPERATOR, ask(issued.text)),
        lambda: house.decisions.decide_batch(OPERATOR, [ask(issued.text)]),
    ):
        with pytest.raises(StoreError) as raised:
            use()
        assert raised.value.code == "store_diverged"
