"""`ledger keys`: what people and programs see, and that no private key is among it."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_service.ledger.keys import create, load_signers
from tests.unit.cli.terminal import Printed, Terminal
from tests.unit.service.house import House


class Desk:
    """A data directory with a signing key, and a terminal before it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"
        self.key = self.folder / "signing.key"
        self.first = create(self.key, "ledger.example").verifier

    def keys(self, *arguments: str) -> Printed:
        return Terminal(House().furnish()).run("ledger", "keys", *arguments, "--data-dir", self.folder)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_key_comes_signs_beside_the_old_one_and_the_old_one_goes(desk: Desk) -> None:
    """Listed all the while, with its state."""
    rotated = desk.keys("rotate", "--json").json["data"]
    made = load_signers(desk.key)[-1].verifier
    assert rotated == {"current": made.key_id, "verifier": str(made)}
    assert [key["state"] for key in desk.keys("list", "--json").json["data"]] == ["old", "current"]
    assert desk.keys("retire", desk.first.key_id).out == f"key {desk.first.key_id} is retired; it signs no more\n"
    assert desk.keys("list", "--json").json["data"] == [
        {"id": desk.first.key_id, "state": "retired", "verifier": str(desk.first)},
        {"id": made.key_id, "state": "current", "verifier": str(made)},
    ]


def test_people_are_told_what_to_do_and_never_a_private_key(desk: Desk) -> None:
    """The verifier key is whole, to be copied."""
    printed = [desk.keys("rotate"), desk.keys("list")]
    made = load_signers(desk.key)[-1].verifier
    assert printed[0].out == f"key {made.key_id} is current; give its verifier key to your auditors: {made}\n"
    assert str(made) in printed[1].out
    assert all("PRIVATE" not in text for one in printed for text in (one.out, one.err))


def test_what_cannot_be_is_exit_code_2(desk: Desk) -> None:
    """The current key stays, and there is none that is not there."""
    for key_id in (desk.first.key_id, "00000000"):
        refused = desk.keys("retire", key_id)
        assert refused.code == 2
        assert key_id in refused.err
    desk.key.unlink()
    assert desk.keys("list").code == 2
