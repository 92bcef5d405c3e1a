"""`ledger replay` and `ledger pack`: what people and programs see, and the exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.terminal import Printed, Terminal
from tests.unit.service.auditing.test_replay import changed
from tests.unit.service.house import OTHER_FILES
from tests.unit.service.recorded import Recorded


class Desk:
    """A recorded house, and a terminal before it."""

    def __init__(self, folder: Path) -> None:
        self.recorded = Recorded(folder)
        self.file = folder / "records.jsonl"
        self.pack = folder / "out.pack"
        key = self.recorded.house.key(labels={"made-for": "ci runs"})
        self.key_id = key.api_key.id
        self.recorded.ask(key.text, None)
        self.recorded.ask(key.text, resource="pipeline:locked-1")
        self.recorded.written()

    def replay(self, *arguments: str | Path) -> Printed:
        return Terminal(self.recorded.house).run("ledger", "replay", self.file, *arguments)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def new_rules(tmp_path: Path) -> Path:
    """Rule files under which nothing is locked."""
    for name, text in OTHER_FILES.items():
        path = tmp_path / "new" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "new"


def test_what_comes_out_again_is_one_table_and_one_line(desk: Desk) -> None:
    printed = desk.replay()

    assert printed.code == 0
    assert printed.err == ""
    rows = printed.out.splitlines()
    assert rows[1].split()[:2] == ["same", "3"]
    assert rows[-1].startswith("3 records replayed (")
    assert rows[-1].endswith("): all the same")


def test_several_processes_print_what_one_prints(desk: Desk) -> None:
    """But for the time they take."""
    lines = desk.recorded.lines()
    lines[2] = changed(lines[2], reason="made_up")
    desk.file.write_bytes(b"".join(line + b"\n" for line in lines))
    alone, shared = (desk.replay("--jobs", jobs, desk.file.parent) for jobs in ("1", "2"))
    assert (shared.code, shared.err) == (alone.code, alone.err) == (1, "")
    assert shared.out.splitlines()[:-1] == alone.out.splitlines()[:-1]


def test_what_is_supposed_is_looked_at_by_one_process(desk: Desk) -> None:
    """More are refused by name."""
    printed = desk.replay("--jobs", "2", "--facts-now")
    assert printed.code == 2
    assert "`--jobs` is for replays that suppose nothing" in printed.err


def test_a_difference_stands_side_by_side_and_is_exit_code_1(desk: Desk) -> None:
    lines = desk.recorded.lines()
    lines[2] = changed(lines[2], reason="made_up")
    desk.recorded.written(lines)

    printed = desk.replay()

    assert printed.code == 1
    assert "decided again, it comes out otherwise [differs]" in printed.out
    assert ["reason", "made_up", "locked"] in [row.split() for row in printed.out.splitlines()]
    assert printed.out.splitlines()[-1].endswith(": 1 differ")


def test_more_differences_than_shown_are_counted(desk: Desk) -> None:
    desk.recorded.written([changed(line, reason="made_up") for line in desk.recorded.lines()])

    printed = desk.replay("--show", "1")

    assert "… and 2 more; see them with `--show`" in printed.out


def test_lines_that_are_no_records_are_shown_with_their_place(desk: Desk) -> None:
    desk.recorded.written([b"{", *desk.recorded.lines()])

    printed = desk.replay()

    assert printed.code == 1
    assert f"{desk.file}:1: not a decision record" in printed.out


def test_other_semantics_are_said_and_are_no_fault(desk: Desk) -> None:
    desk.recorded.written([changed(line, semantics=9) for line in desk.recorded.lines()])

    printed = desk.replay()

    assert printed.code == 0
    assert printed.out.splitlines()[-1].endswith("all the same, but for 3 of other semantics")


def test_a_program_gets_the_report(desk: Desk) -> None:
    printed = desk.replay("--json")

    assert printed.json["ok"] is True
    assert (printed.json["records"], printed.json["same"]) == (3, 3)
    assert printed.json["findings"] == []


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (("--decision", "deny"), 2),
        (("--reason", "locked"), 1),
        (("--resource", "pipeline:etl"), 2),
        (("--principal", "service:ci"), 2),
        (("--until", "2027-01-15T08:00:00.5Z"), 1),
        (("--workspace", "acme", "--decision", "allow"), 1),
        (("--rule", "nobody"), 0),
    ],
)
def test_filters_say_which_records(desk: Desk, filters: tuple[str, ...], count: int) -> None:
    assert desk.replay("--json", *filters).json["records"] == count


def test_an_outside_auditor_needs_the_records_and_the_pack(desk: Desk) -> None:
    """Nothing of the store: here it is gone."""
    terminal = Terminal(desk.recorded.house)

    packed = terminal.run("ledger", "pack", desk.pack)
    elsewhere = terminal.with_environment(facts=None)
    replayed = elsewhere.run("ledger", "replay", desk.file, "--pack", desk.pack)

    assert packed.out.endswith(f"into {desk.pack}; no secret is in it\n")
    assert replayed.code == 0
    assert replayed.out.splitlines()[-1].startswith("3 records replayed")


def test_a_pack_for_programs(desk: Desk) -> None:
    printed = Terminal(desk.recorded.house).run("ledger", "pack", desk.pack, "--json")

    assert printed.json["data"]["header"]["head"] == desk.recorded.house.store.head()


def test_new_rules_show_their_flips(desk: Desk, new_rules: Path) -> None:
    printed = desk.replay("--policies", new_rules)

    assert printed.code == 0
    assert "deny-to-allow  pipelines:run on pipeline:locked-1 by service:ci" in printed.out
    assert ["deny-to-allow", "no-locked-ones", "acme", "service:ci", "pipeline", "pipelines:run", "1"] in [
        row.split() for row in printed.out.splitlines()
    ]
    assert printed.out.splitlines()[-1].endswith(": 0 allow-to-deny, 1 deny-to-allow, 0 reason-only")


@pytest.mark.parametrize(
    ("fail_on", "code"), [("allow-to-deny", 0), ("deny-to-allow", 1), ("allow-to-deny, deny-to-allow", 1)]
)
def test_flips_that_are_named_fail(desk: Desk, new_rules: Path, fail_on: str, code: int) -> None:
    printed = desk.replay("--policies", new_rules, "--fail-on", fail_on, "--json")

    assert printed.code == code
    assert printed.json["ok"] is (code == 0)
    assert printed.json["flips"] == {"allow-to-deny": 0, "deny-to-allow": 1, "reason-only": 0}
    (example,) = printed.json["examples"]
    assert (example["was"]["decision"], example["would_be"]["decision"]) == ("deny", "allow")
    assert example["was"]["checks"][-1]["check"]


def test_rule_files_with_mistakes_are_told_before_anything_is_read(desk: Desk, new_rules: Path) -> None:
    (new_rules / "chain.yaml").write_text("chain: []\n")

    printed = desk.replay("--policies", new_rules)

    assert printed.code == 1
    assert "invalid_policy" in printed.err


def test_without_a_key(desk: Desk) -> None:
    printed = desk.replay("--without-key", desk.key_id, "--facts-now")

    assert printed.out.splitlines()[-1].endswith(": 1 allow-to-deny, 0 deny-to-allow, 1 reason-only")


def test_the_least_privilege_is_an_edit_to_apply(desk: Desk) -> None:
    printed = desk.replay("--least-privilege", desk.key_id)

    assert printed.code == 0
    command = (
        "policy-service keys create --service ci --scope pipelines:run --label 'made-for=ci runs' --workspace acme"
    )
    assert f"  {command}" in printed.out.splitlines()
    assert printed.out.splitlines()[-1].startswith("proven on 2 records")


def test_the_least_privilege_for_programs(desk: Desk) -> None:
    document = desk.replay("--least-privilege", desk.key_id, "--json").json

    assert document["needed"] == ["pipelines:run"]
    assert document["edit"]["body"]["scopes"] == ["pipelines:run"]
    assert document["proof"]["flips"]["allow-to-deny"] == 0


def test_a_key_that_needed_nothing(desk: Desk) -> None:
    printed = desk.replay("--least-privilege", desk.key_id, "--decision", "deny")

    assert "was allowed nothing in these records" in printed.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--fail-on", "allow-to-deny"),
        ("--facts-now", "--fail-on", "flip"),
        ("--without-member", "ada"),
        ("--least-privilege", "K", "--facts-now"),
        ("--decision", "maybe"),
        ("--since", "yesterday"),
    ],
)
def test_options_that_make_no_sense_are_usage_errors(desk: Desk, arguments: tuple[str, ...]) -> None:
    printed = desk.replay(*arguments)

    assert printed.code == 2
    assert printed.err.endswith("[usage]\n")


def test_without_records_there_were_none(desk: Desk) -> None:
    desk.file.write_bytes(b"")

    printed = desk.replay()

    assert printed.code == 0
    assert printed.out.splitlines()[-1].endswith("): there were none")
