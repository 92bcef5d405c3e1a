"""Theorems about watching conditions: their parts are parts, watching changes nothing, what decides is told rightly."""

from __future__ import annotations

from itertools import pairwise

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from policy_service.analysis.coverage import cover
from policy_service.analysis.gaps import gaps
from policy_service.engine.conditions.evaluate import Fault, evaluate
from policy_service.engine.conditions.observe import observe
from policy_service.engine.conditions.partial import may_fault
from policy_service.language import ir
from policy_service.language.atoms import atom_text, atoms
from policy_service.language.rule_sources import rule_sources
from policy_service.language.suite.load import load_suite
from tests.property.cel_agreement import compiled
from tests.property.test_conditions import EDGES, readings, texts
from tests.property.test_language import SEEDS
from tests.property.test_suite_files import POLICY, PROGRAM, SHIPPED

CONNECTIVES = (ir.And, ir.Or, ir.Not, ir.Conditional)


def without_places(expr: ir.Expr) -> object:
    """A tree as it is apart from where it stands in the text; variables of macros are numbered anew."""
    form = msgspec.to_builtins(expr)
    names: dict[str, str] = {}

    def bare(value: object) -> object:
        if isinstance(value, dict):
            return {
                name: names.setdefault(item, str(len(names)))
                if name == "variable" or _is_local(value, name)
                else bare(item)
                for name, item in value.items()
                if name != "offset"
            }
        return [bare(item) for item in value] if isinstance(value, list | tuple) else value

    return bare(form)


def _is_local(form: dict[str, object], name: str) -> bool:
    return form.get("node") == "Local" and name == "name"


@given(texts())
@example('(has(resource.attr.s) && (resource.attr.s == ")(\\"?:" || "a" in ["b)", \'c\'])) ? !(resource.attr.b) : true')
@example("resource.attr.b ? (resource.attr.c ? false : true) : (resource.attr.n == 1 ? true : resource.attr.b)")
@example("resource.attr.b // ( || \n && resource.attr.c")
def test_atomic_conditions_are_the_text_between_connectives(text: str) -> None:
    """In reading order, none over another, each by itself the same condition again."""
    condition = compiled(text)
    parts = atoms(condition)
    assert [part.start for part in parts] == sorted(part.start for part in parts)
    assert all(one.end <= other.start for one, other in pairwise(parts))
    for part in parts:
        assert not isinstance(part.expr, CONNECTIVES)
        again = compiled(text[part.start : part.end]).expr
        assert without_places(again) == without_places(part.expr), atom_text(condition, part)


@given(texts(), readings())
def test_observing_changes_nothing(text: str, reading: dict[str, object]) -> None:
    """The outcome is that of the evaluation, and the connectives make the same of the parts."""
    condition = compiled(text)
    observed = observe(condition, atoms(condition), reading.__getitem__)
    assert observed.outcome == evaluate(condition, reading.__getitem__)


@given(texts(), readings())
def test_what_decides_would_change_the_outcome(text: str, reading: dict[str, object]) -> None:
    """Turned round in the text, a deciding part gives another outcome, and any other part the same."""
    condition = compiled(text)
    parts = atoms(condition)
    observed = observe(condition, parts, reading.__getitem__)
    for index, part in enumerate(parts):
        if isinstance(observed.values[index], Fault):
            assert index not in observed.deciding
            continue
        turned = f"{text[: part.start]}(({text[part.start : part.end]}) == false){text[part.end :]}"
        other = evaluate(compiled(turned), reading.__getitem__)
        assert (index in observed.deciding) == (told(other) != told(observed.outcome)), text[part.start : part.end]


def told(outcome: bool | Fault) -> bool | None:
    return None if isinstance(outcome, Fault) else outcome


@given(texts() | st.sampled_from(EDGES), readings())
def test_what_cannot_fault_does_not(text: str, reading: dict[str, object]) -> None:
    """A goal that is not asked for cannot be reached."""
    condition = compiled(text)
    outcome = evaluate(condition, reading.__getitem__)
    assert may_fault(condition.expr) or not isinstance(outcome, Fault) or "steps" in outcome.message
    for part in atoms(condition):
        outcome = evaluate(ir.Condition(text, part.expr), reading.__getitem__)
        assert may_fault(part.expr) or not isinstance(outcome, Fault) or "steps" in outcome.message


TESTS = load_suite(SHIPPED, POLICY).tests


@given(st.sets(st.integers(0, len(TESTS) - 1)))
def test_more_tests_never_cover_less(chosen: set[int]) -> None:
    """Each gap of a suite is one of each part of it; all goals are either reached or gaps."""
    some, every = (cover(tests, PROGRAM) for tests in ([TESTS[index] for index in sorted(chosen)], TESTS))
    assert some.goals() == every.goals()
    assert some.reached() <= every.reached()
    missed = {(gap.type, gap.rule, gap.field, gap.atom, gap.goal) for gap in gaps(some)}
    assert some.reached() + len(missed) == some.goals()
    assert {(gap.rule, gap.text, gap.goal) for gap in gaps(every)} <= {
        (gap.rule, gap.text, gap.goal) for gap in gaps(some)
    }


RULE_FILES = {file: text for file, text in SEEDS[0].items() if file.startswith("resources/")}


@given(st.sampled_from(sorted(RULE_FILES)), st.booleans())
def test_conditions_are_found_in_their_files(file: str, has_mark: bool) -> None:
    """Character by character, white space aside; a byte order mark does not count."""
    text = RULE_FILES[file]
    sources = rule_sources(file, "\ufeff" * has_mark + text)
    rules = POLICY.resources[file.removeprefix("resources/").removesuffix(".yaml")].rules
    assert {(rule.span.line, rule.span.column) for rule in rules} == set(sources)
    for rule in rules:
        source = sources[rule.span.line, rule.span.column]
        written = rule.condition.text if rule.condition else ""
        assert source.line == rule.span.line
        for char, index in zip(written, source.conditions.get("when", ()), strict=False):
            assert char.isspace() or text[index] == char


def test_what_does_not_read_has_no_rules() -> None:
    """Nor has a file without a list of mappings."""
    assert rule_sources("a.yaml", "a: [") == {}
    assert rule_sources("a.yaml", "a: [b, {name: [c]}]") == {}
