"""Bundles: published under their meaning, activated as a change, linked once."""

from __future__ import annotations

import pytest

from policy_service.language.load import load_policy
from policy_service.model.errors import PolicyErrors, RequestError, StoreError
from policy_service.service.policies import bundles as bundles_module
from policy_service.service.policies.bundles import Bundles
from tests.unit.service.house import OPERATOR, OTHER_FILES, RULE_FILES, TENANT, House

DIGEST = load_policy(RULE_FILES).digest
COMMENTED = {**RULE_FILES, "chain.yaml": "# the same, with a comment\n" + RULE_FILES["chain.yaml"]}


def test_publishing_stores_text_and_meaning_and_decides_nothing(bare: House) -> None:
    """The change is `bundle.publish`; no bundle is active."""
    written = bare.bundles.publish(OPERATOR, RULE_FILES, note="first")
    assert written.created
    assert written.fact is not None
    assert written.fact.digest == DIGEST
    assert written.change is not None
    assert (written.change.action, written.change.workspace, written.change.note) == ("bundle.publish", None, "first")
    assert bare.bundles.files(DIGEST) == RULE_FILES
    assert bare.bundles.active() is None
    assert bare.bundles.get_bundle(OPERATOR, DIGEST).fact == written.fact


def test_the_same_meaning_again_changes_nothing(bare: House) -> None:
    """A comment is no meaning: the first text stays."""
    bare.bundles.publish(OPERATOR, RULE_FILES)
    again = bare.bundles.publish(OPERATOR, COMMENTED)
    assert (again.created, again.change, again.revision) == (False, None, 1)
    assert bare.bundles.files(DIGEST) == RULE_FILES


def test_activating_is_a_change_and_the_same_again_is_none(bare: House) -> None:
    """Its action is `bundle.activate`, its subject the digest."""
    bare.bundles.publish(OPERATOR, RULE_FILES)
    written = bare.bundles.activate(OPERATOR, DIGEST, note="go")
    assert written.change is not None
    assert (written.change.action, written.change.subject, written.change.note) == ("bundle.activate", DIGEST, "go")
    assert written.created
    assert bare.bundles.active() == DIGEST
    assert bare.bundles.activate(OPERATOR, DIGEST).change is None


def test_activating_another_replaces_the_first(house: House) -> None:
    """The decision follows."""
    issued = house.key()
    assert house.decide(issued.text, resource="pipeline:locked-1").decision.reason == "locked"
    other = house.bundles.publish(OPERATOR, OTHER_FILES).fact
    assert other is not None
    assert not house.bundles.activate(OPERATOR, other.digest).created
    answered = house.decide(issued.text, resource="pipeline:locked-1")
    assert (answered.decision.allowed, answered.decision.bundle) == (True, other.digest)


def test_files_with_mistakes_are_refused_with_all_of_them(bare: House) -> None:
    """And nothing is stored."""
    broken = {**RULE_FILES, "roles.yaml": "roles:\n  a: {scopes: [no:such, nor:such]}\n"}
    with pytest.raises(PolicyErrors) as raised:
        bare.bundles.publish(OPERATOR, broken)
    assert len(raised.value.diagnostics) == 2
    assert bare.store.head() == 0
    assert bare.store.texts == {}


def test_what_was_never_published_cannot_be_activated_or_shown(house: House) -> None:
    """404, in the operator's own words."""
    for use in (house.bundles.activate, house.bundles.get_bundle):
        with pytest.raises(RequestError) as raised:
            use(OPERATOR, "sha256:none")
        assert (raised.value.code, raised.value.status) == ("not_found", 404)
    assert house.bundles.files("sha256:none") is None


def test_a_note_is_one_clean_line(house: House) -> None:
    """It goes into the changes, for people."""
    for use in (
        lambda: house.bundles.publish(OPERATOR, OTHER_FILES, note="a\0"),
        lambda: house.bundles.activate(OPERATOR, DIGEST, note="a\nb"),
    ):
        with pytest.raises(RequestError) as raised:
            use()
        assert raised.value.code == "invalid_text"


def test_bundles_are_the_operators(house: House) -> None:
    """A tenant neither publishes nor activates nor reads them."""
    for use in (
        lambda: house.bundles.publish(TENANT, OTHER_FILES),
        lambda: house.bundles.activate(TENANT, DIGEST),
        lambda: house.bundles.get_bundle(TENANT, DIGEST),
    ):
        with pytest.raises(RequestError) as raised:
            use()
        assert (raised.value.code, raised.value.status) == ("operator_only", 403)


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        ("gone", "bundle_missing"),
        ("broken", "bundle_unreadable"),
        ("other", "bundle_damaged"),
    ],
)
def test_a_stored_bundle_that_is_not_what_it_was_is_our_fault(house: House, damage: str, code: str) -> None:
    """Missing, unreadable, or of another meaning: 503, never another policy than the one named."""
    if damage == "gone":
        del house.store.texts[DIGEST]
    elif damage == "broken":
        house.store.texts[DIGEST] = {"chain.yaml": "nonsense"}
    else:
        house.store.texts[DIGEST] = OTHER_FILES
    fresh = Bundles(house.store, house.clock)
    for use in (fresh.program, fresh.policy, lambda digest: fresh.activate(OPERATOR, digest)):
        with pytest.raises(StoreError) as raised:
            use(DIGEST)
        assert raised.value.code == code
    assert house.bundles.active() == DIGEST


def test_programs_and_policies_are_made_once(house: House) -> None:
    """Until so many others were used that they had to make room."""
    fresh = Bundles(house.store, house.clock)
    program = fresh.program(DIGEST)
    assert fresh.program(DIGEST) is program
    assert fresh.policy(DIGEST) is program.policy
    assert program.digest == DIGEST
    assert house.store.read(lambda reader: fresh.policy_in(reader, DIGEST)) is program.policy
    assert bundles_module.CACHED >= 2


def test_what_was_prepared_is_neither_loaded_nor_linked_again(bare: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """And decides nothing, nor is stored; mistakes are told by publishing."""
    bare.bundles.prepare(RULE_FILES)
    assert bare.bundles.ready_program(DIGEST) is not None
    assert (bare.store.head(), bare.store.texts) == (0, {})
    for name in ("load_policy", "compile_policy"):
        monkeypatch.setattr(bundles_module, name, lambda _: 1 // 0)
    bare.bundles.publish(OPERATOR, RULE_FILES)
    assert bare.bundles.activate(OPERATOR, DIGEST).created
    monkeypatch.undo()
    broken = {"chain.yaml": "nonsense"}
    bare.bundles.prepare(broken)
    with pytest.raises(PolicyErrors):
        bare.bundles.publish(OPERATOR, broken)
