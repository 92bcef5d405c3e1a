"""What an author runs on the tests of rule files."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.unit.cli.terminal import Terminal
from tests.unit.language.folders import SHIPPED


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped policies, to be changed."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "policies"))


def loosen(folder: Path) -> None:
    """A slip: production is not called so."""
    path = folder / "resources/pipeline.yaml"
    path.write_text(path.read_text().replace('== "prod"', '== "production"'))


def test_a_suite_that_holds_is_a_line_a_file_and_exit_code_0(terminal: Terminal, folder: Path) -> None:
    """And one that says it all."""
    printed = terminal.run("policy", "test", folder)
    assert (printed.code, printed.err) == (0, "")
    *files, last = printed.out.splitlines()
    assert [line.split()[1].rpartition("/")[2] for line in files] == ["connections.yaml", "keys.yaml", "pipelines.yaml"]
    assert ", all as expected in " in last


def test_verbose_names_every_test(terminal: Terminal, folder: Path) -> None:
    """So the suite reads as what the policy promises."""
    assert "✓ workspaces are walls  6" in terminal.run("policy", "test", folder, "-v").out


def test_a_failing_case_says_where_what_and_why(terminal: Terminal, folder: Path) -> None:
    """Its place, what was expected, what was decided, and each check with what its rules looked at."""
    loosen(folder)
    printed = terminal.run("policy", "test", folder)
    assert printed.code == 1
    assert f"{folder}/tests/pipelines.yaml:" in printed.out
    assert "expected  deny production_locked (production-runs-are-for-operators)" in printed.out
    assert "decided   allow" in printed.out
    assert 'production-runs-are-for-operators: unsatisfied; principal.kind = "user"' in printed.out


def test_k_chooses_tests_by_file_or_name(terminal: Terminal, folder: Path) -> None:
    """Whatever the case of letters; a word that chooses nothing is a mistake."""
    loosen(folder)
    assert (
        terminal.run("policy", "test", folder, "-k", "Workspaces are")
        .out.splitlines()[-1]
        .startswith(f"{folder}: 1 test, 6 cases, all as expected")
    )
    printed = terminal.run("policy", "test", folder, "-k", "typo")
    assert (printed.code, printed.out) == (2, "")
    assert "[no_tests]" in printed.err


def test_json_has_every_case(terminal: Terminal, folder: Path) -> None:
    """What failed with the trace of every check."""
    loosen(folder)
    printed = terminal.run("policy", "test", folder, "--json")
    document = printed.json
    assert (printed.code, document["ok"], document["tests"]) == (1, False, 39)
    failed = [case for result in document["results"] for case in result["cases"] if not case["ok"]]
    assert len(failed) == document["failed"]
    assert failed[0]["decided"] == {"decision": "allow", "reason": "allowed", "rule": None}
    assert failed[0]["checks"][0]["check"] == "credential"


def test_junit_is_written_beside(terminal: Terminal, folder: Path, tmp_path: Path) -> None:
    """One test case for each test."""
    loosen(folder)
    terminal.run("policy", "test", folder, "--junit", tmp_path / "made" / "junit.xml")
    root = ElementTree.parse(tmp_path / "made" / "junit.xml").getroot()
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "39", "2")
    [failure] = root.findall(
        'testsuite/testcase[@name="production runs are for the operators\' team, administrators not excepted"]/failure'
    )
    assert "decided   allow" in (failure.text or "")


def test_broken_test_files_are_diagnostics(terminal: Terminal, folder: Path, tmp_path: Path) -> None:
    """At their places, as `policy check` has them; nothing is run then."""
    path = folder / "tests/keys.yaml"
    path.write_text(path.read_text().replace("keys: ci-office-key", "keys: ci-offce-key"))
    printed = terminal.run("policy", "test", folder, "--junit", tmp_path / "junit.xml")
    assert printed.code == 1
    line, summary = printed.out.splitlines()
    assert line.startswith(f"{path}:")
    assert "did you mean `ci-office-key`?" in line
    assert summary == f"{folder}: 1 error, nothing was tested"
    assert "undeclared-key" in (tmp_path / "junit.xml").read_text()


def test_broken_rule_files_are_diagnostics_too(terminal: Terminal, folder: Path) -> None:
    """Half a policy cannot be tested."""
    (folder / "chain.yaml").write_text("chain: []\n")
    printed = terminal.run("policy", "test", folder)
    assert printed.code == 1
    assert "[missing-check]" in printed.out


def test_tests_neither_count_in_the_digest_nor_break_a_check(terminal: Terminal, folder: Path) -> None:
    """Whatever stands in them."""
    before = terminal.run("policy", "check", folder, "--json").json["digest"]
    (folder / "tests/keys.yaml").write_text("nonsense: [")
    checked = terminal.run("policy", "check", folder, "--json")
    assert (checked.code, checked.json["digest"]) == (0, before)


def test_a_folder_without_tests_is_exit_code_2(terminal: Terminal, folder: Path) -> None:
    """Nothing tested is not the same as all well."""
    shutil.rmtree(folder / "tests")
    printed = terminal.run("policy", "test", folder)
    assert printed.code == 2
    assert "[no_tests]" in printed.err


def test_watching_runs_again_at_every_save(terminal: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a rule file or a test file."""
    steps = iter([lambda: loosen(folder)])

    def sleep(_seconds: float) -> None:
        step = next(steps, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    monkeypatch.setattr(time, "sleep", sleep)
    printed = terminal.run("policy", "test", folder, "--watch")
    assert printed.code == 0
    assert [line.split(", ")[2][:3] for line in printed.out.splitlines() if " cases, " in line and " in " in line] == [
        "all", "7 n",
    ]  # fmt: skip


def test_coverage_shows_what_no_case_has_seen(terminal: Terminal, folder: Path) -> None:
    """A row for each rule and condition with a gap, and the figure."""
    assert "coverage 100.0 %" in terminal.run("policy", "test", folder, "--coverage").out
    printed = terminal.run("policy", "test", folder, "--coverage", "-k", "tests/pipelines")
    assert printed.code == 0
    assert "connection.yaml:33 locked-connections-do-not-change" in printed.out
    assert "retired-pipelines-do-not-run" not in printed.out
    assert "retired-pipelines-do-not-run" in terminal.run("policy", "test", folder, "--coverage", "-v").out


def test_too_little_coverage_is_exit_code_1(terminal: Terminal, folder: Path) -> None:
    """Rounded down: what is not all is not 100."""
    assert terminal.run("policy", "test", folder, "--fail-under", "100").code == 0
    printed = terminal.run("policy", "test", folder, "--fail-under", "99.9", "-k", "pipelines")
    assert printed.code == 1
    assert "that is under 99.9 %" in printed.out


def test_coverage_as_json(terminal: Terminal, folder: Path) -> None:
    """Each rule with its conditions, what was seen and what is missing."""
    coverage = terminal.run("policy", "test", folder, "--coverage", "-k", "workspaces", "--json").json["coverage"]
    assert (
        coverage["reached"]
        + sum(len(part["missing"]) for rule in coverage["rules"] for part in (rule, *rule["conditions"]))
        == coverage["goals"]
    )
    assert coverage["rules"][0]["conditions"][0]["condition"] == "has(resource.attr.env)"


def test_coverage_over_the_source(terminal: Terminal, folder: Path, tmp_path: Path) -> None:
    """One page; what stands in the files cannot become markup of it."""
    path = folder / "resources/pipeline.yaml"
    path.write_text(path.read_text().replace("# Pipelines.", "# <script>Pipelines.", 1))
    assert terminal.run("policy", "test", folder, "--html", tmp_path / "html").code == 0
    page = (tmp_path / "html" / "index.html").read_text()
    assert 'id="resources/pipeline.yaml:22"' in page
    assert '">resource.attr.env == &quot;prod&quot;</mark> &amp;&amp;' in page
    assert "<script" not in page
