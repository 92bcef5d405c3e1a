"""One evaluation of a condition, seen through its atomic parts: what each came to, and which of them decided.

An atomic condition *decides* where the whole comes to something else if it alone were the other way. Seen so both
satisfied and not, it is covered in the sense of MC/DC, in its masking form.

Source: Chilenski, "An Investigation of Three Forms of the Modified Condition Decision Coverage (MCDC) Criterion",
DOT/FAA/AR-01/18, 2001.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from policy_service.engine.conditions.evaluate import Fault, evaluate
from policy_service.language.atoms import Atom
from policy_service.language.ir import Condition


class Observed(msgspec.Struct, frozen=True):
    """What a condition and each of its atomic ones came to; a fault is a Fault.

    Args:
        deciding: the places of the atomic conditions that decided.
    """

    outcome: bool | Fault
    values: tuple[bool | Fault, ...]
    deciding: frozenset[int]


def observe(condition: Condition, parts: Sequence[Atom], read: Callable[[str], object]) -> Observed:
    """Evaluate a condition and watch.

    Every atomic condition is evaluated, those too that the whole does not need.

    INVARIANT: the outcome is `evaluate`'s (test_coverage: observing changes nothing).

    Args:
        parts: the condition's atomic ones.

    Cost: one evaluation for each atomic condition, and one more.
    """
    outcome = evaluate(condition, read)
    values = tuple(evaluate(Condition(condition.text, part.expr), read) for part in parts)
    deciding = frozenset(index for index in range(len(parts)) if _decides(index, condition, parts, values))
    return Observed(outcome, values, deciding)


def _decides(index: int, condition: Condition, parts: Sequence[Atom], values: tuple[bool | Fault, ...]) -> bool:
    value = values[index]
    if isinstance(value, Fault):
        return False
    as_it_is = {id(part.expr): known for part, known in zip(parts, values, strict=True)}
    other_way = {**as_it_is, id(parts[index].expr): not value}
    return _combined(condition, as_it_is) is not _combined(condition, other_way)


def _combined(condition: Condition, known: dict[int, bool | Fault]) -> bool | None:
    """What the connectives make of known atomic conditions; None for a fault."""
    nothing_to_read = dict[str, object]()
    outcome = evaluate(condition, nothing_to_read.__getitem__, known=known)
    return None if isinstance(outcome, Fault) else outcome
