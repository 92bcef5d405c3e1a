"""Theorems about test files: whatever stands in them, the answer is tests that run or places in the text."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from policy_service.analysis.run_suite import run_suite
from policy_service.engine.link import compile_policy
from policy_service.language.load import load_policy
from policy_service.language.suite import cases, facts, load
from policy_service.language.suite.load import has_tests, load_suite
from policy_service.language.suite.suite import LoadedSuite
from policy_service.model.spans import Diagnostic
from tests.property.drawing import coin, pick
from tests.property.test_language import ROOT, SEEDS, TOKENS, Files, check_place, read_folder, spoil

POLICY = load_policy(SEEDS[0])
PROGRAM = compile_policy(POLICY)
SHIPPED = {file: text for file, text in SEEDS[0].items() if file.startswith("tests/")}
GOLDEN = sorted((ROOT / "tests/unit/language/golden_suites").iterdir())
SUITES = (SHIPPED, *(read_folder(Path(folder)) for folder in GOLDEN))
"""The suite of the shipped policies, and the files that show every mistake there is."""

WORD = re.compile(r"[\w:*./-]+|\[[^\[\]]*\]|\{[^{}]*\}")


def swap_a_word(draw: st.DrawFn, files: Files) -> None:
    """One word, list or mapping gives its place to another of the same file, or to something else."""
    name = pick(draw, sorted(files))
    text = files[name]
    found = list(WORD.finditer(text))
    if found:
        at = pick(draw, found)
        other = pick(draw, TOKENS) if coin(draw) else pick(draw, found).group()
        files[name] = text[: at.start()] + other + text[at.end() :]


@st.composite
def suite_files(draw: st.DrawFn) -> Files:
    """Good test files, or ones with mistakes, with up to three more."""
    files = dict(pick(draw, SUITES[:1] * 4 + SUITES))
    for _ in range(pick(draw, range(4))):
        if files:
            (spoil if coin(draw, 3) else swap_a_word)(draw, files)
    return files


@given(suite_files())
def test_reading_tests_never_raises_and_every_mistake_has_a_place(files: Files) -> None:
    """Diagnostics in reading order, each inside its file, each one line."""
    loaded = load_suite(files, POLICY)
    assert list(loaded.diagnostics) == sorted(loaded.diagnostics, key=Diagnostic.sort_key)
    for one in loaded.diagnostics:
        check_place(one, files)
        assert one.message.isprintable(), one.message
    assert has_tests(files) or not loaded.tests


@given(suite_files())
def test_tests_without_a_mistake_run(files: Files) -> None:
    """Each case is decided; what came out otherwise is explained by the same decision."""
    loaded = load_suite(files, POLICY)
    if loaded.has_errors():
        return
    for result in run_suite(loaded.tests, PROGRAM):
        for one in result.results:
            assert one.case.label in f"{result.test.id} {one.case.label}"
            if one.explanation is not None:
                assert one.explanation.decision == one.decision
                assert one.case.expected.is_listed or one.decision.allowed


@given(st.sampled_from(["users", "tests", "addresses"]))
def test_what_is_more_than_anybody_writes_is_refused(what: str) -> None:
    """At its place, once."""
    files = dict(SHIPPED)
    if what == "users":
        many = "".join(f"    u{number}: {{}}\n" for number in range(facts.MAX_FACTS + 1))
        files["tests/keys.yaml"] = f"facts:\n  users:\n{many}tests: []\n"
    else:
        some = ", ".join(f'"{number}"' for number in range(cases.MAX_CASES + (what == "addresses")))
        one = f"keys: ci-key, scopes: pipelines:run, resources: pipeline:orders, expect: [], addresses: [{some}]"
        number = 1 if what == "addresses" else load.MAX_CASES // cases.MAX_CASES + 1
        tests = "".join(f"  - {{name: n{n}, {one}}}\n" for n in range(number))
        files["tests/keys.yaml"] = f"tests:\n{tests}"
    assert codes(load_suite(files, POLICY)) == ["too-many"]


def codes(loaded: LoadedSuite) -> list[str]:
    return [one.code for one in loaded.diagnostics]


@given(st.integers(0, 3))
def test_a_name_is_one_line_of_a_readable_length(lines: int) -> None:
    """However it is folded in the file."""
    name = "\n".join(["      of several words"] * (1 + 12 * lines))
    text = f"tests:\n  - name: |\n{name}\n    keys: ci-key\n    scopes: pipelines:run\n    resources: pipeline:orders\n"
    loaded = load_suite({**SHIPPED, "tests/keys.yaml": f"{text}    expect: []\n"}, POLICY)
    assert codes(loaded) == (["bad-value"] if lines else [])
    assert all("\n" not in test.name for test in loaded.tests)
