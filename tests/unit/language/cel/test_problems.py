"""What authors are told: the code, the words and the place of every mistake."""

from __future__ import annotations

import pytest

from policy_service.language.cel.compiler import ConditionCompiler
from tests.property.cel_agreement import COMPILER
from tests.property.cel_mistakes import MISTAKES, unmarked


@pytest.mark.parametrize(("marked", "code", "message"), MISTAKES, ids=[f"{n}-{m[1]}" for n, m in enumerate(MISTAKES)])
def test_a_mistake_is_told_in_the_authors_words_at_its_place(marked: str, code: str, message: str) -> None:
    """Each construct that is refused gives one problem, at code-point offsets."""
    text, places = unmarked(marked)
    condition, problems = COMPILER.compile(text)
    assert condition is None
    assert [(p.offset, p.end_offset, p.code, p.message) for p in problems if p.severity == "error"] == [
        (start, end, code, message) for start, end in places
    ]


def test_all_mistakes_of_one_condition_are_told() -> None:
    """One load shows them all, in reading order."""
    _, problems = COMPILER.compile('resource.attr.zzz == 1 && "é" == 2 || prinzipal.id == "a"')
    assert [(problem.offset, problem.code) for problem in problems] == [
        (14, "cel-undeclared-name"),
        (30, "cel-type"),
        (38, "cel-undeclared-name"),
    ]


def test_all_refused_constructs_of_one_condition_are_told() -> None:
    """The checks after Google's do not stop at the first either."""
    _, problems = COMPILER.compile(
        "request.ip.inCidr('x') || key.id.matches('(') || 1u == 1u || request.ip.inNetwork('y')"
    )
    assert [problem.code for problem in problems] == [
        *("cel-bad-cidr", "cel-bad-pattern", "cel-unsupported", "cel-unsupported", "cel-unknown-network"),
    ]


def test_a_macro_with_a_missing_argument_is_explained() -> None:
    """The checker would say that there is no such function."""
    _, problems = COMPILER.compile("key.scopes.all(x)")
    assert problems[0].message == "`all` takes a variable and a condition: `list.all(x, …)`"
    assert (problems[0].offset, problems[0].end_offset, problems[0].code) == (11, 14, "cel-type")


def test_attributes_cannot_be_read_without_a_type() -> None:
    """A condition check on every type is told how to name one."""
    compiler = ConditionCompiler(attributes=None, context=(), networks={})
    _, problems = compiler.compile('resource.attr.env == "prod"')
    assert [problem.message for problem in problems] == [
        "attributes cannot be read here; name the type of resource with `resource:` beside the condition"
    ]


def test_very_many_mistakes_are_cut_short() -> None:
    """Twenty are enough to go on with."""
    _, problems = COMPILER.compile(" || ".join(["zzz(1)"] * 100))
    assert len(problems) == 20


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ('resource.attr.s == "a"', ["resource.attr.s"]),
        ('"é" == resource . attr.s && resource.attr.s != key.id', ["resource . attr.s"]),
        ('has(resource.attr.s) && resource.attr.s == "a"', []),
        ('resource.attr.s == "a" && has(resource.attr.s)', []),
        ('!has(resource.attr.s) || resource.attr.s == "a"', []),
        ('!(has(resource.attr.s) && resource.attr.s == "a")', []),
        ('has(resource.attr.s) ? resource.attr.s == "a" : true', []),
        ('!has(resource.attr.s) ? true : resource.attr.s == "a"', []),
        ('has(resource.attr.s) ? true : resource.attr.s == "a"', ["resource.attr.s"]),
        ('has(resource.attr.s) || resource.attr.s == "a"', ["resource.attr.s"]),
        ('(has(resource.attr.s) || key.id == "a") && resource.attr.s == "a"', ["resource.attr.s"]),
        (
            "(has(resource.attr.b) ? resource.attr.b : has(resource.attr.s)) && resource.attr.s == 'a'",
            ["resource.attr.s"],
        ),
        ("key.scopes.map(e, has(resource.attr.s), resource.attr.s) == key.scopes", []),
        ("key.scopes.map(e, resource.attr.s) == key.scopes", ["resource.attr.s"]),
        ("request.context.count == 1", []),
        ("request.context.ticket == key.id", ["request.context.ticket"]),
        ('request.ip.inCidr("any")', ["request.ip"]),
        ("key.expires_at > request.time", ["key.expires_at"]),
        ("key.created_at < request.time", []),
    ],
)
def test_a_read_that_may_fault_is_warned_of_unless_it_is_guarded(text: str, warned: list[str]) -> None:
    """One warning a path, at its first unguarded reading; a guard counts on either side of `&&` and `||`."""
    condition, problems = COMPILER.compile(text)
    assert condition is not None
    assert [text[problem.offset : problem.end_offset] for problem in problems] == warned
    assert all((problem.code, problem.severity) == ("unguarded-attribute", "warning") for problem in problems)


def test_the_warning_names_the_remedies() -> None:
    """A default can be declared for attributes and context, not for standard variables."""
    _, (attribute,) = COMPILER.compile('resource.attr.s == "a"')
    _, (standard,) = COMPILER.compile('resource.owner == "a"')
    assert attribute.message == (
        "`resource.attr.s` may be absent, which is a fault here; "
        "guard it with `has(resource.attr.s) && …` or declare a default"
    )
    assert standard.message == (
        "`resource.owner` may be absent, which is a fault here; guard it with `has(resource.owner) && …`"
    )
