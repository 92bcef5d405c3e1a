"""`policy lint`, and diagnostics in the formats of code hosts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.unit.cli.terminal import Terminal
from tests.unit.language.folders import SHIPPED


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped policies, to be changed."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "policies"))


def widen(folder: Path) -> None:
    """A CIDR inside another, and a rule without a message."""
    path = folder / "networks.yaml"
    path.write_text(path.read_text().replace("vpn: [", "vpn: [198.51.100.0/26, "))
    path = folder / "resources/pipeline.yaml"
    path.write_text(path.read_text().replace("    message: Scratch pipelines belong to the one who made them.\n", ""))


def test_nothing_to_remark_is_exit_code_0(terminal: Terminal, folder: Path) -> None:
    """As the shipped policies have it."""
    printed = terminal.run("policy", "lint", folder)
    assert (printed.code, printed.out) == (0, f"{folder}: nothing to remark\n")


def test_findings_are_exit_code_1(terminal: Terminal, folder: Path) -> None:
    """Each at its place, and what can be mended."""
    widen(folder)
    printed = terminal.run("policy", "lint", folder)
    assert printed.code == 1
    first, second, last = printed.out.splitlines()
    assert first.startswith(f"{folder}/networks.yaml:8:9: warning: `198.51.100.0/26` is inside")
    assert second.endswith("[missing-message]")
    assert last == f"{folder}: 2 findings, 1 can be mended with `--fix`"


def test_fix_mends_in_place(terminal: Terminal, folder: Path) -> None:
    """And tells which files, and what is left."""
    before = (folder / "networks.yaml").read_text()
    widen(folder)
    (folder / "networks.yaml").chmod(0o640)
    printed = terminal.run("policy", "lint", folder, "--fix", "--json")
    assert (printed.code, printed.json["mended"]) == (1, ["networks.yaml"])
    assert [one["code"] for one in printed.json["findings"]] == ["missing-message"]
    assert (folder / "networks.yaml").read_text() == before
    assert (folder / "networks.yaml").stat().st_mode & 0o777 == 0o640


def test_broken_files_are_not_linted(terminal: Terminal, folder: Path) -> None:
    """Half a policy means nothing."""
    (folder / "chain.yaml").write_text("chain: []\n")
    printed = terminal.run("policy", "lint", folder)
    assert (printed.code, printed.out) == (1, "")
    assert "[missing-check]" in printed.err


def test_sarif_names_file_line_and_columns(terminal: Terminal, folder: Path) -> None:
    """Columns count code points, and it says so."""
    widen(folder)
    printed = terminal.run("policy", "lint", folder, "--format", "sarif")
    assert printed.code == 1
    [run] = printed.json["runs"]
    assert (printed.json["version"], run["columnKind"]) == ("2.1.0", "unicodeCodePoints")
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["contained-cidr", "missing-message"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == f"{folder}/networks.yaml"
    assert place["region"] == {"startLine": 8, "startColumn": 9, "endLine": 8, "endColumn": 24}


def test_github_gets_a_command_a_line(terminal: Terminal, folder: Path) -> None:
    """What would end a property or a command is escaped."""
    chain = folder / "chain.yaml"
    chain.write_text(chain.read_text().replace("  - check: rbac", '  - check: "rb%\\n,ac"'))
    printed = terminal.run("policy", "check", folder, "--format", "github")
    assert printed.code == 1
    lines = printed.out.splitlines()
    assert all(line.startswith(f"::error file={folder}/chain.yaml,line=") for line in lines)
    assert any("title=unknown-check" in line and "`rb%25\\n,ac`" in line for line in lines)


def test_gitlab_gets_fingerprints_that_outlive_a_move(terminal: Terminal, folder: Path) -> None:
    """A line above changes nothing of them; two alike are two."""
    widen(folder)
    first = terminal.run("policy", "lint", folder, "--format", "gitlab").json
    (folder / "networks.yaml").write_text("# moved\n" + (folder / "networks.yaml").read_text())
    second = terminal.run("policy", "lint", folder, "--format", "gitlab").json
    assert [one["fingerprint"] for one in first] == [one["fingerprint"] for one in second]
    assert len({one["fingerprint"] for one in first}) == 2
    assert first[0]["location"]["positions"]["begin"] == {"line": 8, "column": 9}
    assert second[0]["location"]["positions"]["begin"] == {"line": 9, "column": 9}


def test_good_files_are_an_empty_report(terminal: Terminal, folder: Path) -> None:
    """Not nothing: a code host reads it all the same."""
    assert terminal.run("policy", "check", folder, "--format", "github").out == ""
    assert json.loads(terminal.run("policy", "check", folder, "--format", "gitlab").out) == []
    assert terminal.run("policy", "check", folder, "--format", "sarif").json["runs"][0]["results"] == []


HIDDEN = '    effect: deny\n    when: resource.attr.locked && principal.kind == "user"\n'


def hide(folder: Path) -> None:
    """A rule that the one before it, by name, makes idle."""
    path = folder / "resources/connection.yaml"
    path.write_text(f"{path.read_text()}\n  - name: zz-hidden\n    scopes: [connections:write]\n{HIDDEN}")


def test_what_takes_a_proof_is_proved(terminal: Terminal, folder: Path) -> None:
    """A rule that others hide, at its place."""
    hide(folder)
    printed = terminal.run("policy", "lint", folder)
    assert printed.code == 1
    assert f"{folder}/resources/connection.yaml:" in printed.out
    assert "the rule `zz-hidden` changes nothing" in printed.out
    assert "[shadowed-rule]" in printed.out


def test_too_little_time_is_a_note_and_no_finding(terminal: Terminal, folder: Path) -> None:
    """With the names of what is not known; a comment that silences a proof is not called idle then."""
    hide(folder)
    path = folder / "resources/connection.yaml"
    silence = "  # lint: off shadowed-rule until the incident is over\n  - name: zz-hidden"
    path.write_text(path.read_text().replace("  - name: zz-hidden", silence))
    assert "shadowed-rule" not in terminal.run("policy", "lint", folder).out
    printed = terminal.run("policy", "lint", folder, "--timeout", "0.01")
    assert "not everything could be proved in 0.01 s, of `" in printed.err
    assert "[idle-silence]" not in printed.out
    assert "[shadowed-rule]" not in printed.out
    document = terminal.run("policy", "lint", folder, "--timeout", "0.01", "--json").json
    assert "zz-hidden" in document["undecided"]


def test_without_the_solver_the_rest_is_linted(
    terminal: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A note says what was left out, and how to have it."""
    monkeypatch.setattr("policy_service.cli.policy.lint.has_solver", lambda: False)
    hide(folder)
    printed = terminal.run("policy", "lint", folder)
    assert "shadowed-rule" not in printed.out
    assert "pip install policy-service[prove]" in printed.err
