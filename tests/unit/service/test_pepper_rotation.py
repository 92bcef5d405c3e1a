"""Peppers rotate without reissuing keys, and go when no secret under them works any more."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from policy_service.model.errors import StoreError, UsageError
from policy_service.service import pepper_rotation
from policy_service.service.pepper_rotation import PepperUse, all_keys, pepper_uses, retire, rotate
from policy_service.service.peppers import Peppers
from tests.unit.service.house import OPERATOR, House


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A pepper file of its own."""
    path = tmp_path / "data" / "pepper"
    Peppers.create(path)
    return path


@pytest.fixture
def house(path: Path) -> House:
    """A furnished house on that file."""
    return House(peppers=Peppers.load(path)).furnish()


def _uses(house: House, path: Path) -> list[PepperUse]:
    return pepper_uses(Peppers.load(path), all_keys(house.store), house.clock.now())


def _allowed(house: House, text: str) -> bool:
    return house.decide(text).decision.allowed


def test_old_keys_work_on_and_new_secrets_are_under_the_new_pepper(house: House, path: Path) -> None:
    """No key is reissued; a rotated key has a secret under each."""
    old = house.key()
    assert rotate(path).current == "p2"
    house.peppers.adopt(Peppers.load(path))
    fresh = house.key(principal="new")
    assert fresh.api_key.slots[0].pepper_id == "p2"
    assert _allowed(house, old.text)
    assert _allowed(house, fresh.text)
    moved = house.admin.rotate_key(OPERATOR, "acme", old.api_key.id, grace_s=60)
    assert [slot.pepper_id for slot in moved.api_key.slots] == ["p1", "p2"]
    assert _allowed(house, old.text)
    assert _allowed(house, moved.text)


def test_a_pepper_is_retired_once_no_secret_under_it_works(house: House, path: Path) -> None:
    """Not the current one, not one in use; what ended under it is unknown from then on, and no longer a 503."""
    old = house.key()
    gone = house.key(principal="gone")
    house.admin.revoke_key(OPERATOR, "acme", gone.api_key.id)
    for code, name in (("pepper_in_use", "p1"), ("unknown_pepper", "p7")):
        with pytest.raises(UsageError) as raised:
            retire(path, name, _uses(house, path))
        assert raised.value.code == code
    rotate(path)
    with pytest.raises(UsageError, match="1 secrets under pepper `p1` still work") as raised:
        retire(path, "p1", _uses(house, path))
    house.peppers.adopt(Peppers.load(path))
    moved = house.admin.rotate_key(OPERATOR, "acme", old.api_key.id)
    assert _uses(house, path) == [
        PepperUse(id="p1", state="old", working=0, ended=2),
        PepperUse(id="p2", state="current", working=1, ended=0),
    ]
    retire(path, "p1", _uses(house, path))
    house.peppers.adopt(Peppers.load(path))
    assert _allowed(house, moved.text)
    assert house.decide(gone.text).decision.reason == "unknown_key"
    assert house.decide(old.text).decision.reason == "unknown_key"
    assert [use.state for use in _uses(house, path)] == ["retired", "current"]
    assert rotate(path).current == "p3", "a name is never given twice"


def test_a_pepper_that_is_missing_and_not_retired_is_a_503(house: House, path: Path) -> None:
    """It may come back from a backup: nobody says that its keys were unknown."""
    text = house.key().text
    house.credentials._peppers = Peppers("p9", {"p9": b"9" * 32})
    with pytest.raises(StoreError) as raised:
        house.decide(text)
    assert raised.value.code == "pepper_not_loaded"
    uses = pepper_uses(Peppers("p9", {"p9": b"9" * 32}), all_keys(house.store), house.clock.now())
    assert [(use.id, use.state) for use in uses] == [("p1", "missing"), ("p9", "current")]


def test_another_file_is_not_adopted(house: House, path: Path, tmp_path: Path) -> None:
    """A swapped or damaged file changes nothing in a running process."""
    text = house.key().text
    Peppers.create(tmp_path / "other" / "pepper")
    for other in (Peppers.load(tmp_path / "other" / "pepper"), Peppers("p2", {"p2": b"2" * 32})):
        with pytest.raises(UsageError) as raised:
            house.peppers.adopt(other)
        assert raised.value.code == "pepper_changed"
    assert house.peppers.current == "p1"
    assert _allowed(house, text)


def test_the_file_stays_its_owners_and_whole(path: Path) -> None:
    """0600, nothing left beside it, and loadable after every step."""
    before = Peppers.load(path)
    after = rotate(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["pepper"]
    assert Peppers.load(path).verifier("p1", "x") == before.verifier("p1", "x") == after.verifier("p1", "x")


def test_of_two_who_rotate_at_once_one_is_refused(path: Path) -> None:
    """And a rotation that died leaves a file that the message names."""
    path.with_name("pepper.new").touch()
    with pytest.raises(UsageError, match=r"pepper\.new` exists") as raised:
        rotate(path)
    assert raised.value.code == "pepper_busy"


def test_a_disk_that_refuses_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing half-written, nothing left beside."""

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(pepper_rotation.os, "fsync", full)
    with pytest.raises(UsageError, match="no space left") as raised:
        rotate(path)
    assert raised.value.code == "unwritable_pepper"
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["pepper"]


def test_keys_are_read_in_pages(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, in order."""
    monkeypatch.setattr(pepper_rotation, "_PAGE", 2)
    made = [house.key(principal=f"s{number}").api_key.id for number in range(5)]
    assert [key.id for key in all_keys(house.store)] == made
