"""What is kept of what was made: there while there is room, made anew when not, and never in the way of the truth."""

from __future__ import annotations

import pytest

from policy_service.engine import snapshot as snapshot_module
from policy_service.engine.base import FactBase
from policy_service.engine.kept import Kept, Room
from policy_service.engine.snapshot import Snapshot
from policy_service.model.errors import StoreError
from policy_service.model.facts import User
from tests.unit.engine.worlds import NOW, World, ask, policy, resource_policy, rule, user_key

MODULUS = (1 << 61) - 1


class Maker:
    """Doubles even numbers, and counts."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __call__(self, number: int) -> int | None:
        self.made.append(number)
        return None if number % 2 else number * 2


def test_what_is_asked_for_is_made_once() -> None:
    """However it is asked for."""
    make = Maker()
    kept: Kept[int, int] = Kept(make, Room(None))
    assert (kept[2], kept[2], kept.get(2), 2 in kept) == (4, 4, 4, True)
    assert make.made == [2]


def test_what_there_is_not_is_never_kept() -> None:
    """Else whoever asks for nonsense fills the memory."""
    make = Maker()
    kept: Kept[int, int] = Kept(make, Room(None))
    assert (kept[3], kept.get(3), kept.get(3, 7), 3 in kept) == (None, None, 7, False)
    assert len(kept) == 0


def test_when_the_younger_half_is_full_the_older_one_goes() -> None:
    """Of all dicts that share the room; what was asked for again in the meantime stays, all else is made anew."""
    make, room = Maker(), Room(4)
    first: Kept[int, int] = Kept(make, room)
    second: Kept[int, int] = Kept(make, room)
    assert (first[2], second[4]) == (4, 8)
    assert (dict(first), dict(second)) == ({}, {})
    assert [*first.there(), *second.there()] == [4, 8]
    assert (first[2], first[6]) == (4, 12), "the second one fills it"
    assert ([*first.there()], [*second.there()]) == ([4, 12], [])
    assert make.made == [2, 4, 6]
    assert (first[2], second[4]) == (4, 8)
    assert make.made == [2, 4, 6, 4]


def test_what_was_forgotten_already_is_no_trouble() -> None:
    """Young or old: it is made anew, and its turn to go comes all the same."""
    make, room = Maker(), Room(6)
    kept: Kept[int, int] = Kept(make, room)
    assert kept[2] == 4
    kept.forget(2)
    assert (kept[4], kept[4], kept[6]) == (8, 8, 12)
    assert [*kept.there()] == [8, 12]
    kept.forget(4)
    assert (kept[4], kept[2]) == (8, 4)
    assert make.made == [2, 4, 6, 4, 2]
    kept.forget_all()
    room.empty()
    assert (kept[6], kept[2], [*kept.there()]) == (12, 4, [12, 4]), "an emptied room knows nothing of what was there"


def test_more_workspaces_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """All views are made anew then: none of a key is left that would not learn of changes in its workspace."""
    monkeypatch.setattr(snapshot_module, "_WORKSPACES", 2)
    world = World(policy(resource_policy(rule("all", "allow"), unregistered="allow"), digest="sha256:one"))
    world.put(User(workspace="acme", id="ann"), user_key())
    based = Snapshot(world.programs, FactBase(b"".join(world.snapshot.packed(MODULUS))))
    before = based.keys["userKey00001"]
    for number in range(5):
        based.workspace(f"w{number}")
    after = based.keys["userKey00001"]
    assert before is not None
    assert after is not None
    assert after is not before
    assert after.workspace is based.workspace("acme")
    world.put(User(workspace="acme", id="ann", suspended=True))
    based.apply(world.changes[-1])
    based.settle()
    assert based.program is not None
    claim = ask("userKey00001", workspace="acme")
    assert based.program.decide(claim, based, NOW).reason == "principal_suspended"


def test_facts_that_were_given_up_answer_nobody() -> None:
    """Whoever kept the snapshot gets an error from the first step on, and no answer from half of the facts."""
    world = World(policy()).put(User(workspace="acme", id="ann"), user_key())
    based = Snapshot(world.programs, FactBase(b"".join(world.snapshot.packed(MODULUS))))
    for snapshot in (world.snapshot, based):
        steps = snapshot.dismantled()
        next(steps, None)
        for use in (
            lambda: snapshot.keys["userKey00001"],  # noqa: B023 - used at once
            lambda: snapshot.fact("user", ("acme", "ann")),  # noqa: B023 - as above
            lambda: snapshot.workspace("acme"),  # noqa: B023 - as above
            lambda: list(snapshot.facts()),  # noqa: B023 - as above
        ):
            for _ in steps:
                pass
            with pytest.raises(StoreError):
                use()
