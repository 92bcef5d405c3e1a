"""Which optional values a condition reads without making sure that they are there.

`&&` and `||` absorb a fault of either side, so a guard counts wherever it stands: before or after what it guards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policy_service.language import ir
from policy_service.language.cel.places import Places
from policy_service.language.report import quoted
from policy_service.language.variables import ATTRIBUTE_PREFIX, CONTEXT_PREFIX

_NOTHING: Final = frozenset[str]()


def warn_unguarded(expr: ir.Expr, optional: frozenset[str], places: Places) -> None:
    """Warn once of each optional path whose absence makes the condition fault.

    Args:
        optional: the paths that may be absent.
    """
    warned = set[str]()
    for read in sorted(unguarded(expr), key=lambda read: read.offset):
        if read.path in optional and read.path not in warned:
            warned.add(read.path)
            end = places.path_end(read.offset, read.path)
            places.report("unguarded-attribute", _advice(read.path), read.offset, end, "warning")


def unguarded(expr: ir.Expr) -> Iterator[ir.Read]:
    """The reads for which the condition does not make sure that there is something to read."""
    return _unguarded(expr, _NOTHING)


def _advice(path: str) -> str:
    guard = f"guard it with `has({path}) && …`"
    declared = path.startswith((ATTRIBUTE_PREFIX, CONTEXT_PREFIX))
    return f"{quoted(path)} may be absent, which is a fault here; {guard}{' or declare a default' if declared else ''}"


def present_if(truth: bool, expr: ir.Expr) -> frozenset[str]:
    """The paths whose absence rules out that a condition comes to `truth`: it then is the opposite, and no fault.

    So a rule that is guarded by `has(x) && …` is never satisfied for a caller who leaves x out.
    """
    match expr:
        case ir.Has():
            return frozenset({expr.path}) if truth else _NOTHING
        case ir.Not():
            return present_if(not truth, expr.operand)
        case ir.And() | ir.Or():
            left, right = present_if(truth, expr.left), present_if(truth, expr.right)
            return left | right if isinstance(expr, ir.And) == truth else left & right
        case ir.Conditional():
            then = present_if(True, expr.test) | present_if(truth, expr.then)
            return then & (present_if(False, expr.test) | present_if(truth, expr.otherwise))
    return _NOTHING


def _unguarded(expr: ir.Expr, present: frozenset[str]) -> Iterator[ir.Read]:
    """The reads that may fault where all of `present` is known to be there."""
    match expr:
        case ir.Read():
            if expr.path not in present:
                yield expr
        case ir.And() | ir.Or():
            goes_on = isinstance(expr, ir.And)
            yield from _unguarded(expr.left, present | present_if(goes_on, expr.right))
            yield from _unguarded(expr.right, present | present_if(goes_on, expr.left))
        case ir.Conditional():
            yield from _unguarded(expr.test, present)
            yield from _unguarded(expr.then, present | present_if(True, expr.test))
            yield from _unguarded(expr.otherwise, present | present_if(False, expr.test))
        case ir.Transform(condition=ir.Node() as condition):
            yield from _unguarded(expr.range, present)
            yield from _unguarded(condition, present)
            yield from _unguarded(expr.result, present | present_if(True, condition))
        case _:
            for child in ir.children(expr):
                yield from _unguarded(child, present)
