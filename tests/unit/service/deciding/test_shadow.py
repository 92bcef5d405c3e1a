"""A bundle in shadow: compared on real requests, never answered, harmless."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from policy_service.engine import shadow as engine_shadow
from policy_service.model.errors import RequestError, StoreError
from policy_service.service.deciding import shadow as shadow_module
from policy_service.service.deciding.shadow import Shadow, change_of
from policy_service.service.policies.bundles import Bundles
from policy_service.service.recording.groups import Group
from tests.fakes import RecordingSink
from tests.unit.service.house import OPERATOR, OTHER_FILES, RULE_FILES, TENANT, House, ask

LOCKED = "pipeline:locked-1"


def put_in_shadow(house: House, files: dict[str, str] = OTHER_FILES) -> str:
    """Publish files and put them in shadow."""
    published = house.bundles.publish(OPERATOR, files).fact
    assert published is not None
    house.bundles.set_shadow(OPERATOR, published.digest, note="try")
    house.replica.catch_up()
    return published.digest


def test_flips_are_counted_and_kept_and_never_answered(house: House) -> None:
    """By change, and reason and rule of the side that denies."""
    key = house.key()
    digest = put_in_shadow(house)
    answered = house.decide(key.text, resource=LOCKED)
    assert answered.decision.reason == "locked"
    assert house.decide(key.text).decision.allowed
    report = house.shadow.report()
    assert (report.digest, report.state, report.compared, report.failures) == (digest, "running", 2, 0)
    assert report.flips == {("deny_to_allow", "locked", "no-locked-ones"): 1}
    (example,) = report.examples
    assert example["decision_id"] == answered.decision_id
    assert (example["active"]["rule"], example["candidate"]["decision"]) == ("no-locked-ones", "allow")
    assert (example["active"]["bundle"], example["candidate"]["bundle"]) == (house.bundles.active(), digest)
    assert example["request"]["resource"]["id"] == "locked-1"
    assert [one.decision.reason for one in house.sink.decided] == ["locked", "allowed"]


def test_the_other_directions(house: House) -> None:
    """An allow that would be a deny; another reason for the same deny."""
    key = house.key()
    stricter = RULE_FILES["resources/pipeline.yaml"].replace('["locked-*"]', '["locked-*", "etl*"]')
    put_in_shadow(house, {**RULE_FILES, "resources/pipeline.yaml": stricter.replace("reason: locked", "reason: shut")})
    house.decide(key.text)
    house.decide(key.text, resource=LOCKED)
    house.decide("nonsense")
    assert house.shadow.report().flips == {
        ("allow_to_deny", "shut", "no-locked-ones"): 1,
        ("other_reason", "shut", "no-locked-ones"): 1,
    }


def test_no_secret_is_kept(house: House) -> None:
    """Not the key's text, and no address that is none: a key may have been typed there."""
    key = house.key()
    put_in_shadow(house)
    house.decide(key.text, resource=LOCKED, source_ip="10.0.0.1", context={"ticket": "x"})
    mistyped = key.text[:-1] + "?"
    house.decide(key.text, resource=LOCKED, source_ip=mistyped, context={"big": "x" * 5000})
    first, second = (example["request"] for example in house.shadow.report().examples)
    assert (first["source_ip"], first["context"]) == ("10.0.0.1", {"ticket": "x"})
    assert (second["source_ip"], second["context"]) == (None, None)
    assert key.text[:-1] not in repr(house.shadow.report())


def test_a_candidate_that_breaks_harms_no_answer(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it raises is counted, and logged once."""
    key = house.key()
    put_in_shadow(house)
    monkeypatch.setattr(engine_shadow.ShadowProgram, "decide", lambda *_: 1 // 0)
    for _ in range(3):
        assert house.decide(key.text, resource=LOCKED).decision.reason == "locked"
    assert (house.shadow.report().failures, house.shadow.report().compared) == (3, 0)
    assert caplog.text.count("the bundle in shadow failed") == 1
    monkeypatch.setattr(Shadow, "_candidate", lambda *_: 1 // 0)
    assert house.decide(key.text, resource=LOCKED).decision.reason == "locked"
    assert house.shadow.report().failures == 4


def test_what_cannot_be_recorded_is_not_compared(house: House) -> None:
    """Recording comes first, and its error passes."""
    key = house.key()
    put_in_shadow(house)
    house.sink.broken = StoreError("store_full", "no room")
    with pytest.raises(StoreError):
        house.decide(key.text, resource=LOCKED)
    assert house.shadow.report().compared == 0


def test_a_comparison_counts_once_its_record_is_written_and_for_its_own_candidate(house: House) -> None:
    """While the disk is waited for, another candidate may have taken its place."""
    key = house.key()
    put_in_shadow(house)
    group = Group()
    house.sink.record = lambda _: group  # type: ignore[method-assign]  # a slow disk
    house.decisions.decide(OPERATOR, ask(key.text, resource=LOCKED))
    assert house.shadow.report().compared == 0
    later, group = group, Group()
    house.decisions.decide(OPERATOR, ask(key.text, resource=LOCKED))
    later.settle(None)
    assert house.shadow.report().compared == 1
    put_in_shadow(house, {**OTHER_FILES, "context.yaml": "context:\n  ticket: string\n"})
    house.shadow.follow()
    group.settle(None)
    assert house.shadow.report().compared == 0


def test_a_batch_is_compared_item_by_item(house: House) -> None:
    """On the same snapshot."""
    key = house.key()
    put_in_shadow(house)
    house.decisions.decide_batch(OPERATOR, [ask(key.text, resource=LOCKED), ask(key.text)])
    house.decisions.explain(OPERATOR, ask(key.text, resource=LOCKED))
    assert house.shadow.report().compared == 3
    assert sum(house.shadow.report().flips.values()) == 2


def test_until_it_is_linked_nothing_is_compared(house: House) -> None:
    """Linking is somebody else's, in a thread: a decision never waits for it."""
    key = house.key()
    digest = put_in_shadow(house)
    fresh = Bundles(house.store, house.clock)
    shadow = Shadow(house.replica, fresh, RecordingSink())
    house.decide(key.text, resource=LOCKED)
    shadow.record(house.sink.decided)
    assert (shadow.report().state, shadow.report().compared) == ("linking", 0)
    fresh.program(digest)
    shadow.record(house.sink.decided)
    assert (shadow.report().state, shadow.report().compared) == ("running", 1)


def test_another_candidate_starts_anew_and_none_ends_it(house: House) -> None:
    """What was counted belongs to one bundle."""
    key = house.key()
    put_in_shadow(house)
    house.decide(key.text, resource=LOCKED)
    second = put_in_shadow(house, {**OTHER_FILES, "context.yaml": "context:\n  ticket: string\n"})
    house.shadow.follow()
    report = house.shadow.report()
    assert (report.digest, report.compared, report.flips, report.examples) == (second, 0, {}, ())
    house.bundles.end_shadow(OPERATOR)
    house.decide(key.text, resource=LOCKED)
    assert (house.shadow.report().digest, house.shadow.report().state) == (None, "off")
    house.replica.stop(StoreError("store_diverged", "for good"))
    house.shadow.follow()


def test_kinds_and_examples_are_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest examples stay; kinds past the bound are counted together."""
    monkeypatch.setattr(shadow_module, "MAX_KINDS", 0)
    key = house.key()
    put_in_shadow(house)
    for _ in range(shadow_module.EXAMPLES + 5):
        last = house.decide(key.text, resource=LOCKED)
    report = house.shadow.report()
    assert report.flips == {("other_reason", "(others)", ""): shadow_module.EXAMPLES + 5}
    assert len(report.examples) == shadow_module.EXAMPLES
    assert report.examples[-1]["decision_id"] == last.decision_id


def test_putting_in_shadow_is_a_change(house: House) -> None:
    """Of the operator's; the same again is none, and what was never published cannot be."""
    digest = put_in_shadow(house)
    change = house.store.changes[-1]
    assert (change.action, change.subject, change.note, change.actor) == (
        "bundle.shadow", digest, "try", OPERATOR.actor,
    )  # fmt: skip
    assert house.bundles.set_shadow(OPERATOR, digest).change is None
    assert house.replica.take_published() == [digest], "workers link it"
    assert house.replica.take_published() == []
    ended = house.bundles.end_shadow(OPERATOR, note="enough")
    assert ended.change is not None
    assert (ended.change.action, ended.change.subject) == ("bundle.unshadow", digest)
    assert house.bundles.end_shadow(OPERATOR).change is None
    uses: list[Any] = [
        lambda: house.bundles.set_shadow(TENANT, digest),
        lambda: house.bundles.end_shadow(TENANT),
        lambda: house.bundles.set_shadow(OPERATOR, "sha256:none"),
    ]
    for use, code in zip(uses, ("operator_only", "operator_only", "not_found"), strict=True):
        with pytest.raises(RequestError) as raised:
            use()
        assert raised.value.code == code


def test_the_same_answer_by_another_rule_is_a_change_of_reason(house: House) -> None:
    """And the same by the same is none, whatever else differs."""
    decision = house.decide(house.key().text, resource=LOCKED).decision
    assert change_of(decision, msgspec.structs.replace(decision, bundle="x", message="y")) is None
    assert change_of(decision, msgspec.structs.replace(decision, rule="z")) == "other_reason"
