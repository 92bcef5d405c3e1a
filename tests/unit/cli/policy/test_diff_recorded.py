"""`policy diff` with records at hand, and with bundles and revisions in place of folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from policy_service.language.load import load_policy
from tests.unit.cli.terminal import Printed, Terminal
from tests.unit.service.house import OTHER_FILES, RULE_FILES
from tests.unit.service.recorded import Recorded


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


class Desk:
    """A house with three records, one of them about a locked pipeline; the old rules and those that lock nothing."""

    def __init__(self, folder: Path) -> None:
        self.recorded = Recorded(folder)
        self.file = folder / "records.jsonl"
        key = self.recorded.house.key()
        self.recorded.ask(key.text, None)
        self.recorded.ask(key.text, resource="pipeline:locked-1")
        self.recorded.written()
        self.old = write(folder / "old", RULE_FILES)
        self.new = write(folder / "new", OTHER_FILES)

    def diff(self, *arguments: str | Path) -> Printed:
        return Terminal(self.recorded.house).run("policy", "diff", *arguments)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_recorded_requests_that_would_flip_stand_beside_the_proof(desk: Desk) -> None:
    """Grouped by rule and principal, with an example."""
    printed = desk.diff(desk.old, desk.new, "--ledger", desk.file)
    assert printed.code == 0
    assert "looser    service keys" in printed.out or "looser    user keys" in printed.out
    assert "of the recorded requests\n" in printed.out
    assert any(
        row.split()[:4] == ["deny-to-allow", "no-locked-ones", "acme", "service:ci"] for row in printed.out.splitlines()
    )
    assert "3 records decided anew" in printed.out


def test_json_holds_both(desk: Desk) -> None:
    """The proof where it was, the records under `recorded`."""
    document = desk.diff(desk.old, desk.new, "--ledger", desk.file, "--json").json
    assert document["verdict"] == "looser"
    assert document["recorded"]["flips"] == {"allow-to-deny": 0, "deny-to-allow": 1, "reason-only": 0}
    assert "recorded" not in desk.diff(desk.old, desk.new, "--json").json


@pytest.mark.parametrize(("fail_on", "code"), [("looser", 1), ("stricter", 0), ("any", 1)])
def test_fail_on_takes_records_too(desk: Desk, fail_on: str, code: int) -> None:
    """Even where the two folders are alike: what was answered was answered by others."""
    assert desk.diff(desk.new, desk.new, "--fail-on", fail_on).code == 0
    assert desk.diff(desk.new, desk.new, "--ledger", desk.file, "--fail-on", fail_on).code == code


def test_bundles_are_named_by_their_digests(desk: Desk) -> None:
    """From the store: the one that decides, and one that was published."""
    active = load_policy(RULE_FILES).digest
    printed = desk.diff(active, desk.new)
    assert printed.code == 0
    assert printed.out.splitlines()[-1] == f"{active} → {desk.new}: looser, 1 kind of change"
    assert desk.diff(active, desk.old).out == f"{active} → {desk.old}: equivalent: they allow the same\n"
    back = desk.diff(desk.new, active, "--fail-on", "stricter")
    assert (back.code, back.out.splitlines()[-1]) == (1, f"{desk.new} → {active}: stricter, 1 kind of change")


def test_a_digest_that_nobody_published_is_a_usage_error(desk: Desk) -> None:
    """Nothing is compared."""
    printed = desk.diff("sha256:" + "0" * 64, desk.new)
    assert (printed.code, printed.out) == (2, "")
    assert "sha256:0000" in printed.err
