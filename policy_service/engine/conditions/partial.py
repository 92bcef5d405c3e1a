"""What of a condition could fault at all, as far as its form tells."""

from __future__ import annotations

from typing import Final

from policy_service.language import ir
from policy_service.language.cel.guards import unguarded
from policy_service.language.variables import ATTRIBUTE_PREFIX, CONTEXT_PREFIX, STANDARD

_MAY_BE_WRONG: Final = ("request.ip", ATTRIBUTE_PREFIX, CONTEXT_PREFIX)
"""What comes from outside: it may be there and of no use."""

_MAY_BE_ABSENT: Final = frozenset(variable.path for variable in STANDARD if variable.optional)
PARTIAL: Final = frozenset(
    {
        *(f"{verb}_int64" for verb in ("add", "subtract", "multiply", "negate", "divide", "modulo")),
        "add_duration_duration", "subtract_duration_duration", "add_timestamp_duration", "add_duration_timestamp",
        "subtract_timestamp_duration", "subtract_timestamp_timestamp", "index_list", "index_map",
        "string_to_int64", "string_to_bool", "double_to_int64", "int64_to_timestamp",
    }
)  # fmt: skip
"""The functions that have no value for some arguments.

INVARIANT: no other one ever faults (test_coverage: what cannot fault does not).
"""


def may_fault(expr: ir.Expr) -> bool:
    """Whether some world could make it fault.

    True says nothing for certain: a guard may make the fault impossible. Running out of steps is not counted.
    """
    if any(_may_itself(node) for node in ir.walk(expr)):
        return True
    return any(read.path in _MAY_BE_ABSENT for read in unguarded(expr))


def _may_itself(node: ir.Expr) -> bool:
    if isinstance(node, ir.Read):
        return node.path.startswith(_MAY_BE_WRONG)
    return isinstance(node, ir.Call) and node.overload in PARTIAL
