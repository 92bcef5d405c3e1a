"""`keys import`: everything is checked before anything is written, and each new key is written down once."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from policy_service.cli.keys import importing
from policy_service.cli.keys.lines import MAX_LINE_BYTES
from policy_service.model.errors import StoreError
from tests.unit.cli.terminal import Terminal
from tests.unit.service.house import OPERATOR

NEW = {"principal": {"kind": "service", "id": "ci"}, "scopes": ["pipelines:run"]}
Write = Callable[..., Path]


@pytest.fixture
def staffed(terminal: Terminal) -> Terminal:
    """A terminal before a house whose workspace `acme` has a service principal."""
    terminal.house.admin.put_service_principal(OPERATOR, "acme", "ci")
    return terminal


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file of lines: dicts as JSON, bytes as they are."""

    def make(*lines: dict[str, Any] | bytes) -> Path:
        path = tmp_path / "keys.jsonl"
        path.write_bytes(
            b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
        )
        return path

    return make


def hashed(terminal: Terminal, key_id: str, **more: Any) -> dict[str, Any]:
    verifier = terminal.house.peppers.verifier("p1", "any text").hex()
    return {**NEW, "id": key_id, "pepper_id": "p1", "verifier": verifier, **more}


def test_keys_are_imported_in_changes_of_many(
    staffed: Terminal, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each new key's text is in the output file, mode 0600, and works; blank lines are no keys."""
    monkeypatch.setattr(importing, "PER_CHANGE", 2)
    out = tmp_path / "out.jsonl"
    head = staffed.house.store.head()
    file = write(
        NEW, b"\n", hashed(staffed, "Imported0001"), {**NEW, "expires_at": "2030-01-01T00:00:00Z"}, b"  \n", NEW
    )
    done = staffed.run("keys", "import", file, "-w", "acme", "--out", out)
    assert (done.code, done.out) == (0, f"imported 3 new and 1 hashed keys (revision {head + 2})\n")
    assert f"the new keys are in {out}" in done.err
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["line"] for row in rows] == [1, 4, 6]
    for row in rows:
        decided = staffed.house.decide(row["key"]).decision
        assert (decided.allowed, decided.key_id) == (True, row["id"])
        assert row["key"] not in done.out + done.err
    assert staffed.house.stored_key("Imported0001").principal_id == "ci"
    notes = [change.note for change in staffed.house.store.changes[head:]]
    assert notes == ["import of keys.jsonl, lines 1 to 3", "import of keys.jsonl, lines 4 to 6"]


def test_every_wrong_line_is_told_and_nothing_written(staffed: Terminal, write: Write, tmp_path: Path) -> None:
    """With file, line and code; one good line among them changes nothing."""
    head = staffed.house.store.head()
    file = write(
        NEW,
        b"{not json\n",
        b"[]\n",
        {**NEW, "scope": "x"},
        {**NEW, "scopes": "pipelines:run"},
        {**NEW, "principal": {"kind": "team", "id": "x"}},
        b'{"principal": {"kind": "service", "id": "ci"}, "scopes": [], "scopes": ["pipelines:run"]}\n',
        b'{"principal": {"kind": "service", "id": "ci", "\\u0069d": "x"}, "scopes": ["pipelines:run"]}\n',
        {**NEW, "expires_at": "tomorrow"},
        {**NEW, "id": "Imported0001"},
        hashed(staffed, "Imported0001", verifier="zz"),
        {**NEW, "scopes": ["pipelines:rum"]},
        {**NEW, "labels": {"a": "\u0007"}},
        b'{"principal": "\xff"}\n',
        b"[" * 5000 + b"\n",
    )
    out = tmp_path / "out.jsonl"
    done = staffed.run("keys", "import", file, "-w", "acme", "--out", out)
    told = done.out.splitlines()
    assert done.code == 1
    assert [line.split(": ", 1)[0] for line in told[:-1]] == [f"{file}:{number}" for number in range(2, 16)]
    assert told[-1] == "14 lines are wrong, 1 new and 0 hashed keys are good; nothing was written"
    assert "unknown field `scope`" in told[2]
    assert "expected a list, got a text @ `$.scopes`" in told[3]
    assert "a member stands twice in one object" in told[5]
    assert "a member stands twice in one object" in told[6]
    assert "did you mean `pipelines:run`? [unknown_scope]" in told[10]
    assert "`str`" not in done.out
    assert not out.exists()
    assert staffed.house.store.head() == head
    as_json = staffed.run("keys", "import", file, "-w", "acme", "--out", out, "--json")
    assert (as_json.code, as_json.json["ok"], as_json.json["wrong"]) == (1, False, 14)
    assert as_json.json["mistakes"][0] == {
        "line": 2,
        "code": "invalid_line",
        "message": "the line is not one JSON object in UTF-8",
    }


def test_an_endless_list_of_mistakes_is_cut_and_counted(staffed: Terminal, write: Write) -> None:
    """Twenty of them are enough to begin with."""
    done = staffed.run("keys", "import", write(*[b"x\n"] * 50), "-w", "acme")
    assert len(done.out.splitlines()) == 22
    assert "… and 30 more" in done.out


def test_a_line_without_end_is_not_read_to_its_end(staffed: Terminal, write: Write) -> None:
    """It is a mistake of its own."""
    done = staffed.run("keys", "import", write(NEW, b"x" * (MAX_LINE_BYTES + 1) + b"\n", b"x\n"), "-w", "acme")
    assert (done.code, done.out.count("[line_too_long]"), done.out.count("[invalid_line]")) == (1, 1, 0)


def test_an_id_twice_in_the_file_is_told_with_both_lines(
    staffed: Terminal, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the lines are far apart."""
    monkeypatch.setattr(importing, "PER_CHANGE", 1)
    done = staffed.run(
        "keys", "import", write(hashed(staffed, "Imported0001"), NEW, hashed(staffed, "Imported0001")), "-w", "acme"
    )
    assert done.code == 1
    assert ":3: the key of line 1 has the same id `Imported0001` [conflict]" in done.out


def test_a_dry_run_writes_nothing(staffed: Terminal, write: Write) -> None:
    """It needs no output file either."""
    head = staffed.house.store.head()
    done = staffed.run("keys", "import", write(NEW, hashed(staffed, "Imported0001")), "-w", "acme", "--dry-run")
    assert (done.code, done.out) == (0, "1 new and 1 hashed keys are good; nothing was written\n")
    assert staffed.house.store.head() == head


def test_new_keys_need_a_file_of_their_own(staffed: Terminal, write: Write, tmp_path: Path) -> None:
    """None is an error; one that is there is never overwritten; one that cannot be made is told."""
    file, head = write(NEW), staffed.house.store.head()
    assert "--out" in staffed.run("keys", "import", file, "-w", "acme").err
    there = tmp_path / "there"
    there.write_text("precious")
    refused = staffed.run("keys", "import", file, "-w", "acme", "--out", there)
    assert (refused.code, "[unwritable_output]" in refused.err, there.read_text()) == (2, True, "precious")
    assert (
        "[unwritable_output]" in staffed.run("keys", "import", file, "-w", "acme", "--out", tmp_path / "no" / "x").err
    )
    assert "[unreadable_file]" in staffed.run("keys", "import", tmp_path / "none", "-w", "acme").err
    assert staffed.house.store.head() == head


def test_an_import_that_stops_says_how_to_go_on(
    staffed: Terminal, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done stays; the rest is imported from the line it names."""
    monkeypatch.setattr(importing, "PER_CHANGE", 2)
    file, store = write(*[NEW] * 5), staffed.house.store
    real, commits = store.commit, []

    def fails_at_the_second(*given: Any, **more: Any) -> Any:
        commits.append(1)
        if len(commits) == 2:
            raise StoreError("store_full", "the database has no room left")
        return real(*given, **more)

    monkeypatch.setattr(store, "commit", fails_at_the_second)
    stopped = staffed.run("keys", "import", file, "-w", "acme", "--out", tmp_path / "first")
    assert stopped.code == 2
    assert "stopped at line 3: the database has no room left; everything up to line 2 is imported" in stopped.err
    assert "--from-line 3" in stopped.err
    rest = staffed.run("keys", "import", file, "-w", "acme", "--out", tmp_path / "rest", "--from-line", "3", "--json")
    assert (rest.code, rest.json["new"]) == (0, 3)
    texts = [json.loads(line) for name in ("first", "rest") for line in (tmp_path / name).read_text().splitlines()]
    good = {row["line"] for row in texts if staffed.house.decide(row["key"]).decision.allowed}
    assert good == {1, 2, 3, 4, 5}


def test_an_empty_file_imports_nothing(staffed: Terminal, write: Write) -> None:
    """And is no mistake."""
    done = staffed.run("keys", "import", write(), "-w", "acme", "--json")
    assert (done.code, done.json["new"], done.json["hashed"], done.json["revision"]) == (0, 0, 0, 0)
