"""The past, folded forward: as it was, and as it would have been."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from policy_service.model.changes import GENESIS_HASH
from policy_service.model.facts import Membership
from policy_service.service.auditing.archive import ArchivedPrograms
from policy_service.service.auditing.history import History
from policy_service.service.auditing.hypotheses import Edited, without_key, without_member
from tests.unit.service.house import OPERATOR
from tests.unit.service.recorded import Recorded


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    past = Recorded(tmp_path)
    past.house.key(kind="user", principal="ada")
    past.house.admin.put_team(OPERATOR, "acme", "crew")
    past.house.admin.add_member(OPERATOR, "acme", "crew", "ada")
    return past


def history(recorded: Recorded, hypothesis: Edited | None = None) -> History:
    archive = recorded.archive()
    return History(archive, ArchivedPrograms(archive), hypothesis)


def test_the_fold_is_the_store_at_every_revision(recorded: Recorded) -> None:
    past, changes = history(recorded), recorded.house.store.changes

    assert (past.revision, past.chain) == (0, GENESIS_HASH)
    for change in changes:
        assert past.reach(change.revision)
        assert (past.snapshot.revision, past.chain) == (change.revision, change.hash)
    assert sorted(map(repr, past.snapshot.facts())) == sorted(map(repr, recorded.house.store.facts()))


def test_the_past_ends_and_does_not_come_back(recorded: Recorded) -> None:
    past = history(recorded)
    head = past.finish()

    assert head == recorded.house.store.head()
    assert not past.reach(head + 1)
    assert not past.reach(head - 1)
    assert past.reach(head)
    assert past.broken is None


def test_a_change_that_was_altered_breaks_it_there_even_in_a_hypothesis(recorded: Recorded) -> None:
    changes = recorded.house.store.changes
    changes[2] = msgspec.structs.replace(changes[2], note="another")

    for past in (history(recorded), history(recorded, Edited([without_key("nobody")]))):
        assert past.finish() == 2
        assert past.broken is not None
        assert past.broken.code == "store_diverged"


def test_a_hypothesis_keeps_revisions_and_hashes_of_what_was(recorded: Recorded) -> None:
    past = history(recorded, Edited([without_member("crew", "ada")]))

    assert past.finish() == recorded.house.store.head()
    assert past.chain == recorded.house.store.changes[-1].hash
    assert past.snapshot.fact(Membership.entity, ("acme", "crew", "ada")) is None
    assert recorded.house.store.tables[Membership.entity]
