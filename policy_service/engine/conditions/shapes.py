"""Conditions of one shape: trees that differ in nothing but their literals become one function, written once.

Of 10,000 rules most say the same of other things. A function for each would be ten times the text, and compiling text
is a third of the time in which a policy is made.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from itertools import count
from typing import Any, Final

import msgspec

from policy_service.language import ir

_OPEN: Final = frozenset({ir.INT, ir.STRING, ir.TIMESTAMP, ir.DURATION})
"""The types of the literals that are left open. A double may be written as no literal is: infinity."""


class Shape(msgspec.Struct, frozen=True):
    """What a condition is but for its literals.

    Args:
        key: equal for two conditions exactly when their trees are, but for literals and places.
        literals: of this condition, in the order in which `opened` numbers them.
    """

    key: Hashable
    literals: tuple[Any, ...]

    @classmethod
    def of(cls, expr: ir.Expr) -> Shape:
        """The shape of a tree. Cost: some 1 µs a node."""
        literals: list[Any] = []
        key = _key(expr, literals)
        return cls(key, tuple(literals))


def opened(expr: ir.Expr) -> ir.Expr:
    """The tree with a variable in place of each literal: `1` for the first one, and so on.

    INVARIANT: the values of `Shape.literals` in those places give the tree again (test_shapes: opened and filled).
    """
    return _opened(expr, map(str, count(1)))


def _key(node: ir.Expr, literals: list[Any]) -> Hashable:
    return _KEYS[type(node)](node, literals)


def _const(node: ir.Const, literals: list[Any]) -> Hashable:
    if node.type not in _OPEN:
        return ir.Const, node.type, repr(node.value)
    literals.append(node.value)
    return node.type


def _list_of(node: ir.ListOf, literals: list[Any]) -> Hashable:
    # Lists of literals stay as they are: they are searched as sets, made once.
    if _is_literal(node):
        return ir.ListOf, node.type, repr([item.value for item in node.items])  # type: ignore[union-attr]  # all Const
    return ir.ListOf, node.type, *[_key(item, literals) for item in node.items]


def _is_literal(node: ir.ListOf) -> bool:
    return all(isinstance(item, ir.Const) for item in node.items)


def _transform(node: ir.Transform, literals: list[Any]) -> Hashable:
    over = _key(node.range, literals)
    condition = None if node.condition is None else _key(node.condition, literals)
    return ir.Transform, node.type, node.variable, over, condition, _key(node.result, literals)


_KEYS: Final[dict[type, Callable[[Any, list[Any]], Hashable]]] = {
    ir.Const: _const,
    ir.Read: lambda node, _: (ir.Read, node.type, node.path),
    ir.Has: lambda node, _: (ir.Has, node.path),
    ir.HasEntry: lambda node, found: (ir.HasEntry, node.key, _key(node.operand, found)),
    ir.Local: lambda node, _: (ir.Local, node.type, node.name),
    ir.Not: lambda node, found: (ir.Not, _key(node.operand, found)),
    ir.And: lambda node, found: (ir.And, _key(node.left, found), _key(node.right, found)),
    ir.Or: lambda node, found: (ir.Or, _key(node.left, found), _key(node.right, found)),
    ir.Conditional: lambda node, found: (
        *(ir.Conditional, node.type),
        *(_key(node.test, found), _key(node.then, found), _key(node.otherwise, found)),
    ),
    ir.Call: lambda node, found: (ir.Call, node.type, node.overload, *[_key(one, found) for one in node.args]),
    ir.ListOf: _list_of,
    ir.Quantifier: lambda node, found: (
        *(ir.Quantifier, node.quantifier, node.variable),
        *(_key(node.range, found), _key(node.body, found)),
    ),
    ir.Transform: _transform,
    ir.Matches: lambda node, found: (ir.Matches, node.pattern, _key(node.operand, found)),
    ir.InNetworks: lambda node, found: (ir.InNetworks, node.label, node.networks, _key(node.operand, found)),
}


def _opened(node: ir.Expr, names: Iterator[str]) -> ir.Expr:
    """In the order of `ir.children`, which is that of `_KEYS`."""
    if isinstance(node, ir.Const):
        return ir.Local(type=node.type, name=next(names), offset=node.offset) if node.type in _OPEN else node
    if isinstance(node, ir.ListOf) and _is_literal(node):
        return node
    # One after the other, each in its own field.
    changed: dict[str, Any] = {}
    for name in _FIELDS.get(type(node), ()):
        value = getattr(node, name)
        if isinstance(value, tuple):
            changed[name] = tuple([_opened(one, names) for one in value])
        elif value is not None:
            changed[name] = _opened(value, names)
    return msgspec.structs.replace(node, **changed) if changed else node


_FIELDS: Final[dict[type, tuple[str, ...]]] = {
    ir.HasEntry: ("operand",),
    ir.Not: ("operand",),
    ir.Matches: ("operand",),
    ir.InNetworks: ("operand",),
    ir.And: ("left", "right"),
    ir.Or: ("left", "right"),
    ir.Conditional: ("test", "then", "otherwise"),
    ir.Call: ("args",),
    ir.ListOf: ("items",),
    ir.Quantifier: ("range", "body"),
    ir.Transform: ("range", "condition", "result"),
}
"""Where the nodes below a node stand, in order."""
