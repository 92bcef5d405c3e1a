"""Shapes of trees: what makes two conditions one function. That it answers alike is a theorem (test_conditions)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from policy_service.engine.conditions.shapes import Shape, opened
from policy_service.language import ir
from tests.property.cel_agreement import compiled


def shape(text: str) -> Shape:
    """That of a condition as authors write it."""
    return Shape.of(compiled(text).expr)


@pytest.mark.parametrize(
    ("one", "other", "literals"),
    [
        ('resource.id == "a"', 'resource.id  ==  "bcd"', ("bcd",)),
        ("resource.attr.n > 1 || -2 < resource.attr.n", "resource.attr.n > 7 || -8 < resource.attr.n", (7, -8)),
        ('"a" in key.scopes && has(key.labels.x)', '"b" in key.scopes && has(key.labels.x)', ("b",)),
        (
            'key.scopes.filter(s, s != "a").map(s, s + "b").exists(s, s == "c")',
            'key.scopes.filter(s, s != "x").map(s, s + "y").exists(s, s == "z")',
            ("x", "y", "z"),
        ),
        (
            'true ? resource.id == "a" : request.time < timestamp("1970-01-01T00:00:01Z")',
            'true ? resource.id == "b" : request.time < timestamp("1970-01-01T00:00:02Z")',
            ("b", 2_000_000_000),
        ),
        ('resource.id in ["a", resource.type]', 'resource.id in ["b", resource.type]', ("b",)),
    ],
)
def test_literals_and_places_do_not_count(one: str, other: str, literals: tuple[Any, ...]) -> None:
    """Numbers, texts and instants are left open, in the order of evaluation."""
    assert shape(one).key == shape(other).key
    assert shape(other).literals == literals


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('resource.id == "a"', 'resource.id != "a"'),
        ('resource.id == "a"', 'resource.type == "a"'),
        ("resource.attr.x == 1.0", "resource.attr.x == 2.0"),
        ("resource.attr.x == 0.0", "resource.attr.x == -0.0"),
        ("resource.attr.b == true", "resource.attr.b == false"),
        ('resource.id in ["a", "b"]', 'resource.id in ["a", "c"]'),
        ('resource.id.matches("a")', 'resource.id.matches("b")'),
        ('request.ip.inNetwork("office")', 'request.ip.inNetwork("vpn")'),
        ("has(key.labels.a)", "has(key.labels.b)"),
        ('key.scopes.all(s, s == "a")', 'key.scopes.exists(s, s == "a")'),
        ('key.scopes.all(s, s == "a")', 'key.scopes.all(t, t == "a")'),
        ('key.scopes.map(s, s == "a", s) == []', "key.scopes.map(s, s) == []"),
        ("has(resource.attr.s)", "has(resource.attr.n)"),
        ("true && false", "true || false"),
        ("!true", "true"),
    ],
)
def test_all_else_counts(one: str, other: str) -> None:
    """What is emitted differently, or is a constant made once, is another shape."""
    assert shape(one).key != shape(other).key


def test_opened_and_filled_it_is_the_tree_again() -> None:
    """Each variable stands in the place of its literal."""
    text = '["a", resource.id, "b"].exists(x, x == "c" ? 1 < 2 : key.labels["d"] in ["e", "f"]) && resource.attr.n == 3'
    expr = compiled(text).expr
    literals = {str(number): value for number, value in enumerate(Shape.of(expr).literals, start=1)}

    def filled(node: Any) -> Any:
        if isinstance(node, ir.Local) and node.name in literals:
            return ir.Const(type=node.type, value=literals[node.name], offset=node.offset)
        if isinstance(node, tuple):
            return tuple(map(filled, node))
        if not isinstance(node, ir.Node):
            return node
        return msgspec.structs.replace(
            node, **{name: filled(getattr(node, name)) for name in node.__struct_fields__ if name != "type"}
        )

    assert len(literals) == 7
    assert filled(opened(expr)) == expr
