"""Theorems about linting: it never breaks, says where, and what it mends decides as before."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from policy_service.analysis.lint.findings import CODES
from policy_service.analysis.lint.lint import fix, lint
from policy_service.analysis.lint.meaning import same_meaning
from policy_service.engine.decide import decide
from policy_service.engine.link import compile_policy
from policy_service.language.load import load, load_policy
from policy_service.language.suite.load import load_suite
from policy_service.model.spans import Diagnostic
from tests.property.drawing import coin, pick
from tests.property.policies import Documents, documents, render
from tests.property.test_language import SEEDS, Files, check_place, spoiled_files
from tests.property.test_suite_files import SHIPPED, swap_a_word
from tests.worlds import snapshot_of


@given(spoiled_files())
def test_whatever_loads_can_be_linted(files: Files) -> None:
    """In reading order, each finding inside its file."""
    policy = load(files).policy
    if policy is None:
        return
    found = [finding.diagnostic for finding in lint(files, policy)]
    assert found == sorted(found, key=Diagnostic.sort_key)
    for one in found:
        assert one.code in CODES
        check_place(one, files)


@st.composite
def wordy_files(draw: st.DrawFn) -> Files:
    """The shipped policies with words swapped and lists lengthened, as long as they load."""
    files = dict(SEEDS[0])
    for _ in range(pick(draw, range(1, 6))):
        changed = dict(files)
        if coin(draw):
            swap_a_word(draw, changed)
        else:
            lengthen(draw, changed)
        files = changed if load(changed).policy is not None else files
    return files


def lengthen(draw: st.DrawFn, files: Files) -> None:
    """Put one more item into a list."""
    file, old, new = pick(
        draw,
        (
            ("roles.yaml", "scopes: [pipelines:run]", "scopes: [pipelines:run, pipelines:read] # both"),
            ("roles.yaml", "[operator, connection-manager,", "[operator, viewer, connection-manager,"),
            (
                "roles.yaml",
                "scopes: [connections:write]",
                "scopes:\n      - connections:write\n      - connections:read\n",
            ),
            ("scopes.yaml", "implies: [connections:read]", "implies: [connections:read, connections:write]"),
            ("networks.yaml", "[203.0.113.0/24,", "[203.0.113.0/25, 203.0.113.0/24, 203.0.113.64/26,"),
            ("networks.yaml", "vpn: [198.51.100.0/25]", "vpn:\n    - 198.51.100.0/26\n    - 198.51.100.0/25 # all"),
            ("resources/pipeline.yaml", '["scratch-*"]', '["scratch-a*", "scratch-*", scratch-b]'),
            ("resources/pipeline.yaml", '["scratch-*"]', '\n      - "scratch-a*"\n      - "scratch-*"'),
        ),
    )
    files[file] = files[file].replace(old, new)


@settings(max_examples=settings().max_examples // 2)
@given(wordy_files())
def test_fixes_change_no_decision(files: Files) -> None:
    """The mended files load, mean the same, and decide the shipped tests as before; a second time nothing is left."""
    before = load_policy(files)
    mended = fix(files, before)
    if not mended:
        return
    after_files = {**files, **mended}
    after = load_policy(after_files)
    assert same_meaning(before, after)
    assert fix(after_files, after) == {}
    programs = [compile_policy(policy) for policy in (before, after)]
    for test in load_suite(SHIPPED, before).tests:
        snapshots = [snapshot_of(program, test.facts) for program in programs]
        for case in test.cases:
            one, other = (decide(case.request, snapshot, test.now) for snapshot in snapshots)
            assert (one.reason, one.rule) == (other.reason, other.rule)


@given(documents(), documents())
def test_policies_of_one_meaning_have_one_meaning(one: Documents, other: Documents) -> None:
    """A policy means what it means, and two with one digest mean the same."""
    left, right = load_policy(render(one)), load_policy(render(other))
    assert same_meaning(left, left)
    assert same_meaning(left, right) or left.digest != right.digest
