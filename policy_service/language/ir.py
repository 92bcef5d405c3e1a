"""Our typed form of a CEL condition. The emitter, the interpreter, the digest and the prover all read this tree.

Values at run time: bool, int (64 bit), float, str; timestamps and durations are integer nanoseconds; lists are tuples;
maps are dicts; an IP address is its point (see `model.address`). `ABSENT` and `WRONG` stand where a read would fault.

Semantics are CEL's (https://github.com/google/cel-spec, doc/langdef.md): `&&` and `||` absorb faults of the other side
in either order, so do `all` and `exists`; integer overflow, division by zero, a bad index or a missing map key fault.

No node can be part of a cycle, so the garbage collector need not look at them (`gc=False`): of 10,000 rules it would
look at 200,000, and hold up every decision meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Final, Literal

import msgspec

from policy_service.model.address import Network

Kind = Literal["bool", "int", "double", "string", "timestamp", "duration", "ip", "list", "map"]


class Type(msgspec.Struct, frozen=True, gc=False):
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


class Node(msgspec.Struct, frozen=True, kw_only=True, tag_field="node", tag=True, gc=False):
    """Base of all nodes. `offset`: code points from the start of the condition's text; -1 when synthetic."""

    type: Type
    offset: int = -1


class Const(Node, frozen=True, kw_only=True, gc=False):
    """A literal. Lists of literals are `ListOf`."""

    value: bool | int | float | str


class Read(Node, frozen=True, kw_only=True, gc=False):
    """A declared value, by path: `request.scope`, `resource.attr.env`. Faults when ABSENT or WRONG."""

    path: str


class Has(Node, frozen=True, kw_only=True, gc=False):
    """`has(path)`: false only when ABSENT; true for WRONG."""

    path: str


class HasEntry(Node, frozen=True, kw_only=True, gc=False):
    """`has(map.key)`. Faults when the map does."""

    operand: Expr
    key: str


class Local(Node, frozen=True, kw_only=True, gc=False):
    """The variable of an enclosing macro. Names are unique within one condition."""

    name: str


class Not(Node, frozen=True, kw_only=True, gc=False):
    operand: Expr


class And(Node, frozen=True, kw_only=True, gc=False):
    left: Expr
    right: Expr


class Or(Node, frozen=True, kw_only=True, gc=False):
    left: Expr
    right: Expr


class Conditional(Node, frozen=True, kw_only=True, gc=False):
    """`test ? then : otherwise`. Only the chosen branch can fault."""

    test: Expr
    then: Expr
    otherwise: Expr


class Call(Node, frozen=True, kw_only=True, gc=False):
    """A function or operator. `overload` is CEL's standard overload id, such as `add_int64` or `in_list`."""

    overload: str
    args: tuple[Expr, ...]


class ListOf(Node, frozen=True, kw_only=True, gc=False):
    items: tuple[Expr, ...]


class Quantifier(Node, frozen=True, kw_only=True, gc=False):
    """`range.all(variable, body)` and its siblings. Every step costs one of the iteration budget."""

    quantifier: Literal["all", "exists", "exists_one"]
    variable: str
    range: Expr
    body: Expr


class Transform(Node, frozen=True, kw_only=True, gc=False):
    """`filter` (result is the variable itself) and `map` (condition None, or the three-argument form)."""

    variable: str
    range: Expr
    condition: Expr | None
    result: Expr


class Matches(Node, frozen=True, kw_only=True, gc=False):
    """`text.matches("…")`: RE2, partial match, literal pattern, compiled at load."""

    operand: Expr
    pattern: str


class InNetworks(Node, frozen=True, kw_only=True, gc=False):
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
    return _CHILDREN[type(node)](node)


def _none(_: Any) -> tuple[Expr, ...]:
    return ()


def _operand(node: Any) -> tuple[Expr, ...]:
    return (node.operand,)


def _sides(node: Any) -> tuple[Expr, ...]:
    return (node.left, node.right)


# By kind: to look into the fields of each node costs five times as much, and large policies have 100,000.
_CHILDREN: Final[dict[type, Callable[[Any], tuple[Expr, ...]]]] = {
    Const: _none,
    Read: _none,
    Has: _none,
    Local: _none,
    HasEntry: _operand,
    Not: _operand,
    Matches: _operand,
    InNetworks: _operand,
    And: _sides,
    Or: _sides,
    Conditional: lambda node: (node.test, node.then, node.otherwise),
    Call: lambda node: node.args,
    ListOf: lambda node: node.items,
    Quantifier: lambda node: (node.range, node.body),
    Transform: lambda node: (node.range, *(() if node.condition is None else (node.condition,)), node.result),
}


def walk(node: Expr) -> Iterator[Expr]:
    """The node and everything below it, parents first."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        yield found
        waiting.extend(reversed(children(found)))
