"""The interpreter: what a condition comes to, step by step, and where and why it faults. For explanations.

Slow and obvious. It never disagrees with the emitted code (tests/property/test_conditions.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from policy_service.engine.conditions import functions
from policy_service.engine.conditions.patterns import searcher
from policy_service.engine.conditions.runtime import ITERATION_BUDGET
from policy_service.language import ir
from policy_service.language.report import quoted
from policy_service.model.values import ABSENT, WRONG


class Fault(msgspec.Struct, frozen=True):
    """Why a condition could not be evaluated: one lowercase phrase, and the place in its text in code points."""

    message: str
    offset: int


_NOTHING: Final[Mapping[int, bool | Fault]] = {}


class _OutOfSteps(Exception):  # noqa: N818 - it ends an evaluation, it is no error
    """The macros took more steps than the budget allows. Nothing absorbs it."""

    def __init__(self, offset: int) -> None:
        super().__init__()
        self.offset = offset


def evaluate(
    condition: ir.Condition,
    read: Callable[[str], object],
    *,
    budget: int = ITERATION_BUDGET,
    known: Mapping[int, bool | Fault] = _NOTHING,
) -> bool | Fault:
    """Whether a condition is satisfied, or its fault.

    Args:
        read: path → value in its run-time form, ABSENT or WRONG. It is asked for what the evaluation needs, no more.
        budget: steps that its macros may take together.
        known: what nodes come to, by `id`, in place of what they would.
    """
    try:
        outcome = _Interpreter(read, budget, known).value(condition.expr)
    except _OutOfSteps as spent:
        return Fault(f"the macros need more than {budget} steps", spent.offset)
    return outcome if isinstance(outcome, Fault) else bool(outcome)


class _Interpreter:
    """One evaluation."""

    def __init__(self, read: Callable[[str], object], budget: int, known: Mapping[int, bool | Fault]) -> None:
        self._read = read
        self._known = known
        self._locals: dict[str, Any] = {}
        self._steps_left = budget

    def value(self, node: ir.Expr) -> Any:
        """The value of a node, or a Fault."""
        if self._known and id(node) in self._known:
            return self._known[id(node)]
        return _RULES[type(node)](self, node)

    def const(self, node: ir.Const) -> Any:
        return node.value

    def read(self, node: ir.Read) -> Any:
        value = self._read(node.path)
        if value is ABSENT:
            return Fault(f"{quoted(node.path)} is absent", node.offset)
        if value is WRONG:
            return Fault(f"{quoted(node.path)} is not of type {node.type}", node.offset)
        return value

    def has(self, node: ir.Has) -> bool:
        return self._read(node.path) is not ABSENT

    def has_entry(self, node: ir.HasEntry) -> Any:
        operand = self.value(node.operand)
        return operand if isinstance(operand, Fault) else node.key in operand

    def local(self, node: ir.Local) -> Any:
        return self._locals[node.name]

    def negation(self, node: ir.Not) -> Any:
        operand = self.value(node.operand)
        return operand if isinstance(operand, Fault) else not operand

    def conjunction(self, node: ir.And) -> Any:
        return self._chain(node, decided=False)

    def disjunction(self, node: ir.Or) -> Any:
        return self._chain(node, decided=True)

    def _chain(self, node: ir.And | ir.Or, *, decided: bool) -> Any:
        left = self.value(node.left)
        if left is decided:
            return decided
        right = self.value(node.right)
        return left if isinstance(left, Fault) and right is not decided else right

    def conditional(self, node: ir.Conditional) -> Any:
        test = self.value(node.test)
        if isinstance(test, Fault):
            return test
        return self.value(node.then if test else node.otherwise)

    def call(self, node: ir.Call) -> Any:
        args = self._all(node.args)
        if isinstance(args, Fault):
            return args
        outcome = functions.FUNCTIONS[node.overload](*args)
        return Fault(functions.fault_of(node.overload, args), node.offset) if outcome is None else outcome

    def list_of(self, node: ir.ListOf) -> Any:
        return self._all(node.items)

    def _all(self, nodes: Iterable[ir.Expr]) -> tuple[Any, ...] | Fault:
        """All values, or the first fault. All are evaluated, for the steps that they take."""
        values = tuple(self.value(node) for node in nodes)
        return next((value for value in values if isinstance(value, Fault)), values)

    def matches(self, node: ir.Matches) -> Any:
        operand = self.value(node.operand)
        return operand if isinstance(operand, Fault) else searcher(node.pattern)(operand)

    def in_networks(self, node: ir.InNetworks) -> Any:
        point = self.value(node.operand)
        return point if isinstance(point, Fault) else any(point in network for network in node.networks)

    def quantifier(self, node: ir.Quantifier) -> Any:
        items = self._items(node)
        if isinstance(items, Fault):
            return items
        if node.quantifier == "exists_one":
            return self._exactly_one(node, items)
        decided = node.quantifier == "exists"
        outcome: Any = not decided
        for item in items:
            value = self._step(node.variable, item, node.body)
            if value is decided:
                return decided
            if isinstance(value, Fault) and not isinstance(outcome, Fault):
                outcome = value
        return outcome

    def _exactly_one(self, node: ir.Quantifier, items: Iterable[Any]) -> Any:
        count = 0
        for item in items:
            value = self._step(node.variable, item, node.body)
            if isinstance(value, Fault):
                return value
            count += value
        return count == 1

    def transform(self, node: ir.Transform) -> Any:
        items, collected = self._items(node), []
        if isinstance(items, Fault):
            return items
        for item in items:
            kept = True if node.condition is None else self._step(node.variable, item, node.condition)
            if isinstance(kept, Fault):
                return kept
            if kept:
                collected.append(self._step(node.variable, item, node.result))
            if collected and isinstance(collected[-1], Fault):
                return collected[-1]
        return tuple(collected)

    def _items(self, node: ir.Quantifier | ir.Transform) -> Iterable[Any] | Fault:
        """What a macro goes over; its whole length is paid for. The keys of a map come sorted."""
        items = self.value(node.range)
        if isinstance(items, Fault):
            return items
        self._steps_left -= len(items)
        if self._steps_left < 0:
            raise _OutOfSteps(node.offset)
        return sorted(items) if isinstance(items, dict) else tuple(items)

    def _step(self, variable: str, item: Any, node: ir.Expr) -> Any:
        self._locals[variable] = item
        return self.value(node)


_RULES: Final[dict[type, Callable[[_Interpreter, Any], Any]]] = {
    ir.Const: _Interpreter.const,
    ir.Read: _Interpreter.read,
    ir.Has: _Interpreter.has,
    ir.HasEntry: _Interpreter.has_entry,
    ir.Local: _Interpreter.local,
    ir.Not: _Interpreter.negation,
    ir.And: _Interpreter.conjunction,
    ir.Or: _Interpreter.disjunction,
    ir.Conditional: _Interpreter.conditional,
    ir.Call: _Interpreter.call,
    ir.ListOf: _Interpreter.list_of,
    ir.Quantifier: _Interpreter.quantifier,
    ir.Transform: _Interpreter.transform,
    ir.Matches: _Interpreter.matches,
    ir.InNetworks: _Interpreter.in_networks,
}
