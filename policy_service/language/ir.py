"""Our typed form of a CEL condition. The emitter, the interpreter, the digest and the prover all read this tree.

Values at run time: bool, int (64 bit), float, str; timestamps and durations are integer nanoseconds; lists are tuples;
maps are dicts; an IP address is its point (see `model.address`). `ABSENT` and `WRONG` stand where a read would fault.

Semantics are CEL's (https://github.com/google/cel-spec, doc/langdef.md): `&&` and `||` absorb faults of the other side
in either order, so do `all` and `exists`; integer overflow, division by zero, a bad index or a missing map key fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal

import msgspec

from policy_service.model.address import Network

Kind = Literal["bool", "int", "double", "string", "timestamp", "duration", "ip", "list", "map"]


class Type(msgspec.Struct, frozen=True):
    """A CEL type. `element` is set for lists, and for maps (whose keys are always strings)."""

    kind: Kind
    element: Type | None = None

    def __str__(self) -> str:
        """As authors write it: `string`, `list(string)`."""
        return f"{self.kind}({self.element})" if self.element else self.kind


BOOL, INT, DOUBLE, STRING = Type("bool"), Type("int"), Type("double"), Type("string")
TIMESTAMP, DURATION, IP = Type("timestamp"), Type("duration"), Type("ip")
STRINGS = Type("list", STRING)
LABELS = Type("map", STRING)


class Node(msgspec.Struct, frozen=True, kw_only=True, tag_field="node", tag=True):
    """Base of all nodes. `offset`: code points from the start of the condition's text; -1 when synthetic."""

    type: Type
    offset: int = -1


class Const(Node, frozen=True, kw_only=True):
    """A literal. Lists of literals are `ListOf`."""

    value: bool | int | float | str


class Read(Node, frozen=True, kw_only=True):
    """A declared value, by path: `request.scope`, `resource.attr.env`. Faults when ABSENT or WRONG."""

    path: str


class Has(Node, frozen=True, kw_only=True):
    """`has(path)`: false only when ABSENT; true for WRONG."""

    path: str


class HasEntry(Node, frozen=True, kw_only=True):
    """`has(map.key)`. Faults when the map does."""

    operand: Expr
    key: str


class Local(Node, frozen=True, kw_only=True):
    """The variable of an enclosing macro. Names are unique within one condition."""

    name: str


class Not(Node, frozen=True, kw_only=True):
    operand: Expr


class And(Node, frozen=True, kw_only=True):
    left: Expr
    right: Expr


class Or(Node, frozen=True, kw_only=True):
    left: Expr
    right: Expr


class Conditional(Node, frozen=True, kw_only=True):
    """`test ? then : otherwise`. Only the chosen branch can fault."""

    test: Expr
    then: Expr
    otherwise: Expr


class Call(Node, frozen=True, kw_only=True):
    """A function or operator. `overload` is CEL's standard overload id, such as `add_int64` or `in_list`."""

    overload: str
    args: tuple[Expr, ...]


class ListOf(Node, frozen=True, kw_only=True):
    items: tuple[Expr, ...]


class Quantifier(Node, frozen=True, kw_only=True):
    """`range.all(variable, body)` and its siblings. Every step costs one of the iteration budget."""

    quantifier: Literal["all", "exists", "exists_one"]
    variable: str
    range: Expr
    body: Expr


class Transform(Node, frozen=True, kw_only=True):
    """`filter` (result is the variable itself) and `map` (condition None, or the three-argument form)."""

    variable: str
    range: Expr
    condition: Expr | None
    result: Expr


class Matches(Node, frozen=True, kw_only=True):
    """`text.matches("…")`: RE2, partial match, literal pattern, compiled at load."""

    operand: Expr
    pattern: str


class InNetworks(Node, frozen=True, kw_only=True):
    """`request.ip.inCidr("…")` or `.inNetwork("name")`, resolved to networks at load."""

    operand: Expr
    networks: tuple[Network, ...]
    label: str


Expr = (
    Const
    | Read
    | Has
    | HasEntry
    | Local
    | Not
    | And
    | Or
    | Conditional
    | Call
    | ListOf
    | Quantifier
    | Transform
    | Matches
    | InNetworks
)


class Condition(msgspec.Struct, frozen=True, dict=True):
    """One checked condition: its text as written and its tree, of type bool."""

    text: str
    expr: Expr

    def reads(self) -> frozenset[str]:
        """The paths that `Read` or `Has` nodes name."""
        return self._reads

    @cached_property
    def _reads(self) -> frozenset[str]:
        # Every explanation asks this of every rule: walking the tree each time was half of its cost.
        return frozenset(node.path for node in walk(self.expr) if isinstance(node, Read | Has))


def children(node: Expr) -> tuple[Expr, ...]:
    """The direct subexpressions of a node, in evaluation order."""
    if isinstance(node, Const | Read | Has | Local):
        return ()
    found: list[Any] = []
    for name in node.__struct_fields__:
        value = getattr(node, name)
        if isinstance(value, Node):
            found.append(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], Node):
            found.extend(value)
    return tuple(found)


def walk(node: Expr) -> Iterator[Expr]:
    """The node and everything below it, parents first."""
    yield node
    for child in children(node):
        yield from walk(child)
