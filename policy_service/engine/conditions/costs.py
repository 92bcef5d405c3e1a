"""The terms of `&&` and `||` in order of what they cost, where nobody can tell.

`&&` is false if any term is, a fault if none is and any faults, and else true: no order is in that. So the cheap terms
are asked first, and often none of the dear ones is. Loops stay where they are, and nothing passes over one: they share
a budget of steps, and which of them is run decides which one exceeds it.

INVARIANT: no condition comes to anything else for it (test_conditions: the three are one language; the interpreter and
Google's runtime ask from left to right).

Source: docs/decisions/0016-cheap-terms-first.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from policy_service.language import ir

_NODES: Final[Mapping[type[ir.Expr], int]] = {
    ir.Const: 0,
    ir.Local: 0,
    ir.Has: 1,
    ir.Read: 2,
    ir.Not: 0,
    ir.And: 1,
    ir.Or: 1,
    ir.Conditional: 1,
    ir.HasEntry: 3,
    ir.ListOf: 3,
    ir.InNetworks: 12,
    ir.Matches: 40,
}
"""Of a node by itself, in hundredths of a microsecond or so. What counts is which one is the greater."""
_COMPARISON: Final = 1
_CALL: Final = 10
"""Of a function that is called in Python: texts, instants, conversions, arithmetic that may overflow."""
_PLAIN: Final = ("equals", "not_equals", "less_", "greater_", "in_")


def by_cost(terms: Sequence[ir.Expr]) -> list[ir.Expr]:
    """Terms of one connective: each run without loops, the cheapest first; of equal ones, as they were written."""
    return [term for loops, run in groupby(terms, has_loop) for term in (run if loops else sorted(run, key=cost))]


def has_loop(node: ir.Expr) -> bool:
    """Whether any macro is in it."""
    return any(isinstance(one, ir.Quantifier | ir.Transform) for one in ir.walk(node))


def cost(node: ir.Expr) -> int:
    """What a node without loops costs, with all that is in it."""
    return sum(_costs(node))


def _costs(node: ir.Expr) -> Iterator[int]:
    for one in ir.walk(node):
        if isinstance(one, ir.Call):
            yield _COMPARISON if one.overload.startswith(_PLAIN) else _CALL
        else:
            yield _NODES[type(one)]
