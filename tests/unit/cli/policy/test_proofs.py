"""What an author asks the solver: prove, diff; and what anybody asks of a decision: explain, why-not."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from policy_service.service.policies.policy_folder import shipped_folder
from tests.unit.cli.terminal import Printed, Terminal

NEVER_RUNS = "invariants:\n  - {name: nobody-runs, never: 'decision.allowed && request.scope == \"pipelines:run\"'}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped rule files, without their invariants."""
    shutil.copytree(shipped_folder(), tmp_path / "policies")
    (tmp_path / "policies" / "invariants.yaml").unlink()
    return tmp_path / "policies"


def test_what_holds_is_proved(terminal: Terminal, folder: Path) -> None:
    """One line each, and a count; exit code 0."""
    printed = terminal.run("policy", "prove", folder)
    assert (printed.code, printed.err) == (0, "")
    *lines, summary = printed.out.splitlines()
    assert [line.split()[0] for line in lines] == ["proved"] * 5
    assert summary == "5 invariants: 5 proved"


def test_a_counterexample_is_shown_and_saved_as_a_test(terminal: Terminal, folder: Path) -> None:
    """Whole, in the words of the house; the saved test fails until something is put right."""
    (folder / "invariants.yaml").write_text(NEVER_RUNS)
    file = folder / "tests" / "found.yaml"
    printed = terminal.run("policy", "prove", folder, "--save", file)
    assert printed.code == 1
    assert "refuted   nobody-runs" in printed.out
    assert "pipelines:run on pipeline:" in printed.out
    assert f"1 counterexample written to {file}" in printed.err
    assert yaml.safe_load(file.read_text())["tests"][0]["expect"] == [{"decision": "deny"}]
    tested = terminal.run("policy", "test", folder, "-k", "found")
    assert tested.code == 1
    assert "1 test, 1 case, 1 not as expected" in tested.out


def test_json_has_the_whole_counterexample(terminal: Terminal, folder: Path) -> None:
    """Request, facts, instant and decision."""
    (folder / "invariants.yaml").write_text(NEVER_RUNS)
    found = terminal.run("policy", "prove", folder, "--json").json["invariants"][-1]
    assert found["outcome"] == "refuted"
    assert found["counterexample"]["decision"]["decision"] == "allow"
    assert {fact["entity"] for fact in found["counterexample"]["facts"]} >= {"api_key", "workspace"}


def test_a_broken_file_proves_nothing(terminal: Terminal, folder: Path) -> None:
    """Its mistakes at their places; exit code 1."""
    (folder / "invariants.yaml").write_text("invariants: [{name: a}]")
    printed = terminal.run("policy", "prove", folder)
    assert printed.code == 1
    assert printed.out.startswith(f"{folder}/invariants.yaml:1:14: an invariant needs one of")


def diff(terminal: Terminal, *arguments: str | Path) -> Printed:
    return terminal.run("policy", "diff", *arguments)


def test_other_words_are_equivalent_and_a_missing_rule_is_looser(terminal: Terminal, folder: Path) -> None:
    """With who gains what, what the rule said, and a request decided under both."""
    other = folder.parent / "new"
    shutil.copytree(folder, other)
    assert "equivalent" in diff(terminal, folder, other).out
    pipeline = other / "resources" / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text().replace('"retired" in resource.attr.tags', "false"))
    printed = diff(terminal, folder, other)
    assert printed.code == 0
    assert "keys gain pipelines:run on pipeline; they were denied: pipeline_retired" in printed.out
    assert "after   deny pipelines:run when false" in printed.out
    assert diff(terminal, folder, other, "--fail-on", "looser").code == 1
    assert diff(terminal, folder, other, "--fail-on", "stricter").code == 0
    assert diff(terminal, other, folder, "--json").json["verdict"] == "stricter"


def test_a_revision_of_git_is_a_source(terminal: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was committed, whatever stands in the folder now."""
    monkeypatch.chdir(folder.parent)
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"]):
        subprocess.run(["git", *command], check=True)
    assert diff(terminal, "git:HEAD", folder).code == 0
    printed = diff(terminal, "git:nowhere", folder)
    assert printed.code == 2
    assert "no_such_revision" in printed.err


def test_a_decision_in_sentences(terminal: Terminal) -> None:
    """What each check found; and for a denial, what would help, by who can do it."""
    key = terminal.house.key().api_key.id
    asked = ("--key-id", key, "--scope", "pipelines:run", "--resource", "pipeline:nowhere")
    printed = terminal.run("policy", "explain", *asked)
    assert printed.code == 1
    assert "✗ workspace: The resource is not registered" in printed.out
    printed = terminal.run("policy", "why-not", *asked)
    assert printed.code == 1
    assert "register pipeline:nowhere in acme" in printed.out
    assert terminal.run("policy", "why-not", *asked, "--json").json["reason"] == "unknown_resource"
