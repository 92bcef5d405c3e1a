"""What an author runs on rule files: check, show, schema."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from policy_service.language.schema import schemas
from tests.unit.cli.terminal import Terminal
from tests.unit.service.house import RULE_FILES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Good rule files."""
    for name, text in RULE_FILES.items():
        path = tmp_path / "policies" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "policies"


def break_it(folder: Path) -> None:
    """Two mistakes in two files."""
    (folder / "chain.yaml").write_text(RULE_FILES["chain.yaml"].replace("check: rbac", "chekc: rbac"))
    pipeline = RULE_FILES["resources/pipeline.yaml"].replace("reason: locked", "reason: Locked")
    (folder / "resources/pipeline.yaml").write_text(pipeline)


def test_good_files_are_exit_code_0(terminal: Terminal, folder: Path) -> None:
    """One line: what they hold, and the digest of their meaning."""
    printed = terminal.run("policy", "check", folder)
    assert (printed.code, printed.err) == (0, "")
    assert len(printed.out.splitlines()) == 1
    assert "good, 4 scopes, 4 roles, 1 rule, sha256:" in printed.out


def test_every_mistake_is_shown_where_it_is(terminal: Terminal, folder: Path) -> None:
    """`file:line:col`, the file as seen from here, so that a terminal or an editor opens it; exit code 1."""
    break_it(folder)
    printed = terminal.run("policy", "check", folder)
    assert printed.code == 1
    *diagnostics, summary = printed.out.splitlines()
    assert any(line.startswith(f"{folder}/chain.yaml:6:") and "did you mean `check`?" in line for line in diagnostics)
    assert any(line.startswith(f"{folder}/resources/pipeline.yaml:8:") for line in diagnostics)
    assert summary == f"{folder}: {len(diagnostics)} errors"


def test_json_has_every_place_in_parts(terminal: Terminal, folder: Path) -> None:
    """For editors and CI: files relative to the folder."""
    assert terminal.run("policy", "check", folder, "--json").json["ok"] is True
    break_it(folder)
    printed = terminal.run("policy", "check", folder, "--json")
    assert printed.code == 1
    assert (printed.json["ok"], printed.json["digest"]) == (False, None)
    first = next(found for found in printed.json["diagnostics"] if found["code"] == "unknown-field")
    assert (first["file"], first["line"], first["severity"]) == ("chain.yaml", 6, "error")
    assert set(first) == {
        "code", "severity", "message", "file", "line", "column", "end_line", "end_column", "path",
    }  # fmt: skip


def test_a_missing_folder_is_exit_code_2(terminal: Terminal, tmp_path: Path) -> None:
    """That is no answer about rule files."""
    printed = terminal.run("policy", "check", tmp_path / "typo")
    assert (printed.code, printed.out) == (2, "")
    assert "[missing_folder]" in printed.err


def test_watching_checks_again_until_ctrl_c(terminal: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken save is reported, its repair as well; in JSON each check is one line."""
    steps = iter(
        [lambda: break_it(folder), lambda: (folder / "chain.yaml").write_text(RULE_FILES["chain.yaml"] + "\n")]
    )

    def sleep(_seconds: float) -> None:
        step = next(steps, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    monkeypatch.setattr(time, "sleep", sleep)
    printed = terminal.run("policy", "check", folder, "--watch", "--json")
    assert printed.code == 0
    checks = [json.loads(line) for line in printed.out.splitlines()]
    assert [check["ok"] for check in checks] == [True, False, False]
    assert [len(check["diagnostics"]) > 1 for check in checks] == [False, True, False]


def test_a_policy_is_shown_as_tables_and_as_json(terminal: Terminal, folder: Path) -> None:
    """With closures worked out."""
    shown = terminal.run("policy", "show", folder).out
    assert "no-locked-ones" in shown
    assert "locked-*" in shown
    document = terminal.run("policy", "show", folder, "--json").json
    assert document["roles"]["everything"]["closure"] == ["admin:organization", "pipelines:read", "pipelines:run"]
    assert document["resources"]["pipeline"]["rules"][0]["resources"] == ["locked-*"]
    assert [check["check"] for check in document["chain"]][:3] == ["credential", "revocation", "workspace"]


def test_the_compiled_form_is_python(terminal: Terminal, folder: Path) -> None:
    """What runs, readable; it is the text of the same digest."""
    shown = terminal.run("policy", "show", folder, "--compiled")
    compile(shown.out, "<shown>", "exec")
    assert "def decide" in shown.out
    document = terminal.run("policy", "show", folder, "--compiled", "--json").json
    assert document["digest"] == terminal.run("policy", "show", folder, "--json").json["digest"]
    assert document["source"].rstrip() == shown.out.rstrip()


def test_showing_broken_files_shows_the_mistakes(terminal: Terminal, folder: Path) -> None:
    """Half a policy means nothing."""
    break_it(folder)
    printed = terminal.run("policy", "show", folder)
    assert (printed.code, printed.out) == (1, "")
    assert "chain.yaml:6:" in printed.err


def test_schemas_are_printed_or_written(terminal: Terminal, tmp_path: Path) -> None:
    """Under the names that the shipped files refer to."""
    assert terminal.run("policy", "schema").json == schemas()
    printed = terminal.run("policy", "schema", "--out", tmp_path / "made" / ".schemas")
    assert printed.code == 0
    for name, schema in schemas().items():
        assert json.loads((tmp_path / "made" / ".schemas" / name).read_text()) == schema


def test_a_folder_that_cannot_be_written_is_one_line(terminal: Terminal, tmp_path: Path) -> None:
    """Here: a file stands where the folder should be."""
    (tmp_path / "taken").write_text("")
    printed = terminal.run("policy", "schema", "--out", tmp_path / "taken")
    assert printed.code == 2
    assert "[unwritable]" in printed.err
