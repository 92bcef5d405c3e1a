"""What an author runs to close the gaps of a suite."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.unit.cli.terminal import Terminal
from tests.unit.language.folders import SHIPPED


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped policies without their tests on pipelines."""
    path = Path(shutil.copytree(SHIPPED, tmp_path / "policies"))
    (path / "tests/pipelines.yaml").unlink()
    return path


def test_suggestions_are_a_list_of_tests_to_paste(terminal: Terminal, folder: Path) -> None:
    """With the gaps as comments: what stands between heading and sum is YAML."""
    printed = terminal.run("policy", "test", folder, "--suggest")
    assert printed.code == 0
    _, _, block = printed.out.partition("tests that close gaps\n")
    block, _, rest = block.partition("\n24 gaps: ")
    assert rest.startswith("10 tests close 24\n")
    assert len(yaml.safe_load(block)) == 10
    assert f"  # {folder}/resources/pipeline.yaml:22 production-runs-are-for-operators is satisfied, decides\n" in block


def test_what_is_written_closes_the_gaps(terminal: Terminal, folder: Path) -> None:
    """A new file, in the layout of the house; the next run shows nothing missing."""
    printed = terminal.run("policy", "test", folder, "--write", "gaps.yaml")
    assert printed.code == 0
    assert "now coverage 100.0 %: 69 of 69 goals" in printed.out
    assert f"10 tests written to {folder}/tests/gaps.yaml; read what they expect" in printed.err
    again = terminal.run("policy", "test", folder, "--fail-under", "100")
    assert (again.code, "not seen by the tests" in again.out) == (0, False)
    assert terminal.run("policy", "fmt", folder, "--check").code == 0


def test_an_existing_file_keeps_its_comments(terminal: Terminal, folder: Path) -> None:
    """New tests stand below its own."""
    file = folder / "tests/connections.yaml"
    before = file.read_text().replace("tests:", "tests: # ours", 1) + "  # more to come\n"
    file.write_text(before)
    assert terminal.run("policy", "test", folder, "--write", file).code == 0
    assert file.read_text().startswith(before)
    assert terminal.run("policy", "test", folder, "--fail-under", "100").code == 0


def test_a_policy_without_a_test_gets_its_first_ones(terminal: Terminal, folder: Path) -> None:
    """The folder is made; tests without shared facts bring their own, and their instant."""
    shutil.rmtree(folder / "tests")
    assert terminal.run("policy", "test", folder).code == 2
    assert terminal.run("policy", "test", folder, "--write", "first.yaml").code == 0
    tests = yaml.safe_load((folder / "tests/first.yaml").read_text())["tests"]
    assert all("now" in test and "facts" in test for test in tests)
    assert terminal.run("policy", "test", folder, "--fail-under", "100").code == 0


def test_what_can_never_be_seen_is_told_with_the_proof(terminal: Terminal, folder: Path) -> None:
    """A rule that another one hides; nobody needs to look for a test."""
    path = folder / "resources/pipeline.yaml"
    path.write_text(f"{path.read_text()}\n  - {{ name: a-first, effect: deny }}\n")
    printed = terminal.run("policy", "test", folder, "--suggest")
    assert "never to be closed, as proved\n" in printed.out
    assert (
        "retired-pipelines-do-not-run decides\n      other rules decide the same wherever it is satisfied\n"
        in printed.out
    )


def test_what_is_proved_impossible_needs_no_test(terminal: Terminal, folder: Path) -> None:
    """It does not count against `--fail-under`, whether tests are asked for or not, and is told apart."""
    path = folder / "resources/pipeline.yaml"
    path.write_text(f"{path.read_text()}\n  - {{ name: a-first, effect: deny, resources: [nothing] }}\n")
    with path.open("a") as file:
        file.write("  - { name: b-behind, effect: deny, resources: [nothing] }\n")
    written = terminal.run("policy", "test", folder, "--write", "more.yaml", "--fail-under", "100")
    assert (written.code, "proved impossible" in written.out) == (0, True)
    again = terminal.run("policy", "test", folder, "--fail-under", "100", "--json")
    assert again.code == 0
    assert (again.json["coverage"]["percent"], again.json["coverage"]["impossible"]) == (100.0, 1)
    rule = next(one for one in again.json["coverage"]["rules"] if one["name"] == "b-behind")
    assert (rule["missing"], rule["impossible"]) == ([], ["deciding"])
    assert "never" in terminal.run("policy", "test", folder, "--fail-under", "100", "-v").out


def test_json_tells_all_three(terminal: Terminal, folder: Path) -> None:
    """Tests with the gaps they close, what is impossible, what is undecided."""
    found = terminal.run("policy", "test", folder, "--suggest", "--json").json["suggestions"]
    assert (found["impossible"], found["undecided"]) == ([], [])
    first = found["tests"][0]
    assert first["closes"][0] == {
        "type": "pipeline",
        "rule": "production-runs-are-for-operators",
        "goal": "satisfied",
        "file": "resources/pipeline.yaml",
        "line": 22,
    }
    assert yaml.safe_load(first["text"])[0]["name"] == first["name"]
    written = terminal.run("policy", "test", folder, "--write", "gaps.yaml", "--json").json["written"]
    assert written == {"file": "tests/gaps.yaml", "tests": 10, "percent": 100.0}


def test_too_little_time_is_undecided_and_exit_code_1(terminal: Terminal, folder: Path) -> None:
    """Never a proof; what names alone could close is closed all the same."""
    printed = terminal.run("policy", "test", folder, "--suggest", "--timeout", "0.01")
    assert printed.code == 1
    assert "undecided\n" in printed.out
    assert "the time of 0.01 s was not enough" in printed.out
    assert "never to be closed" not in printed.out


@pytest.mark.parametrize("file", ["../outside.yaml", "resources/pipeline.yaml", "tests/facts.yaml", "tests/gaps.txt"])
def test_only_test_files_are_written(terminal: Terminal, folder: Path, file: str) -> None:
    """Exit code 2, and nothing is touched."""
    printed = terminal.run("policy", "test", folder, "--write", folder / file)
    assert (printed.code, printed.out) == (2, "")
    assert "is no test file of these rules" in printed.err


def test_writing_goes_with_all_tests_only(terminal: Terminal, folder: Path) -> None:
    """Of some of them it would repeat what others do; at every save it would begin again."""
    for option in (("-k", "connections"), ("--watch",)):
        printed = terminal.run("policy", "test", folder, "--write", "gaps.yaml", *option)
        assert (printed.code, printed.out) == (2, "")
        assert "[usage]" in printed.err


def test_a_file_that_cannot_be_added_to_is_left_alone(terminal: Terminal, folder: Path) -> None:
    """It is told to name another one."""
    file = folder / "tests/odd.yaml"
    file.write_text(
        "tests: [{name: a, principals: nobody, scopes: pipelines:run, resources: pipeline:orders, expect: []}]\n"
    )
    before = file.read_text()
    printed = terminal.run("policy", "test", folder, "--write", file)
    assert printed.code == 2
    assert "[unusual_layout]" in printed.err
    assert file.read_text() == before
