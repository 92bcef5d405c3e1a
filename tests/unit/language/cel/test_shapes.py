"""Shapes: which conditions are taken for alike. That nothing else changes is a theorem (test_condition_texts)."""

from __future__ import annotations

import pytest

from policy_service.language.cel import shapes
from policy_service.language.cel.compiler import ConditionCompiler
from policy_service.language.cel.shapes import Known, Shape, Shapes
from policy_service.language.ir import Expr
from tests.property.cel_expressions import ATTRIBUTES, CONTEXT, NETWORKS

COMPILER = ConditionCompiler(attributes=ATTRIBUTES, context=CONTEXT, networks=NETWORKS)


def tree(text: str) -> Expr:
    """What is made of a text."""
    condition, problems = COMPILER.compile(text)
    assert condition is not None, problems
    return condition.expr


def recalled(known: str, asked: str) -> Expr | None:
    """What is filled in for one text where only the other is known."""
    kept = Shapes()
    kept.keep(Shape.of(known), Known(tree(known), has_warnings=False))
    found = kept.recall(Shape.of(asked))
    return None if found is None else found.expr


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        ('resource.id == "a"', "resource.id == \"another, with 'quotes' and //\""),
        ('resource.id == "a"', "resource.id == 'a'"),
        ('key.labels["a"] == "b" && "c" in key.scopes', 'key.labels["aa"] == "bb" && "cc" in key.scopes'),
        ("resource.attr.n > 1 || resource.attr.n < 20", "resource.attr.n > 10000 || resource.attr.n < 0"),
        (
            'request.time < timestamp( "2026-01-31T09:00:00Z") && request.time - request.time > duration("1h")',
            'request.time < timestamp( "2027-01-31T09:00:00.5Z") && request.time - request.time > duration("90s")',
        ),
        ('resource.id.matches("a+") && resource.id != "b"', 'resource.id.matches("a+") && resource.id != "bbb"'),
        (
            'key.scopes.exists(s, s == "a") && resource.id == "é"',
            'key.scopes.exists(s, s == "bb") && resource.id == "e"',
        ),
    ],
)
def test_texts_that_differ_in_their_literals_are_alike(known: str, asked: str) -> None:
    """The second is not parsed: it is filled in, with every place where it stands in its own text."""
    assert recalled(known, asked) == tree(asked)


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        ('resource.id.matches("a")', 'resource.id.matches("b")'),
        ('request.ip.inNetwork("office")', 'request.ip.inNetwork("vpn")'),
        ('request.ip.inCidr("10.0.0.0/8")', 'request.ip.inCidr("10.0.0.0/9")'),
        ("resource.attr.n > -1", "resource.attr.n > -2"),
        ("resource.attr.x > 1.5", "resource.attr.x > 2.5"),
        ('request.time < timestamp("2026-01-31T09:00:00Z")', 'request.time < timestamp("yesterday")'),
        ('resource.id == "a" || true // "b"', 'resource.id == "c" || true // "b"'),
        (r'resource.id == "a" || resource.id == "\\"', r'resource.id == "c" || resource.id == "\\"'),
        ('resource.id == """a"""', 'resource.id == """b"""'),
        ('resource.id == r"a"', 'resource.id == r"b"'),
        ("true", "true"),
    ],
)
def test_what_only_cel_can_judge_is_not_taken_for_alike(known: str, asked: str) -> None:
    """Patterns, networks, signs, comments, escapes and prefixes: those texts go to CEL."""
    assert recalled(known, asked) is None


def test_of_very_many_shapes_none_is_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """An author's ten thousand shapes do not stay in memory."""
    monkeypatch.setattr(shapes, "MAX_SHAPES", 2)
    kept = Shapes()
    texts = ['resource.id == "a"', 'resource.id != "a"', 'resource.id < "a"']
    for text in texts:
        kept.keep(Shape.of(text), Known(tree(text), has_warnings=False))
    assert [kept.recall(Shape.of(text)) is not None for text in texts] == [False, False, True]


def test_a_warning_is_told_of_every_text() -> None:
    """Each at its own place, though the second text was filled in."""
    texts = ['"a" == "b" || resource.attr.s == "c"', '"aaa" == "b" || resource.attr.s == "c"']
    compiler = ConditionCompiler(attributes=ATTRIBUTES, context=CONTEXT, networks=NETWORKS)
    problems = [compiler.compile(text)[1] for text in texts]
    assert [[(one.code, one.offset) for one in found] for found in problems] == [
        [("unguarded-attribute", 14)],
        [("unguarded-attribute", 16)],
    ]
