"""One condition and one set of values, judged three ways: emitted code, interpreter, Google's CEL runtime."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from cel.expr import checked_pb2
from cel_expr_python import cel
from google.protobuf import any_pb2

from policy_service.engine.conditions.emit import ConstantPool, emit_condition, emit_shared
from policy_service.engine.conditions.evaluate import Fault, evaluate
from policy_service.engine.conditions.runtime import ITERATION_BUDGET, PRELUDE
from policy_service.engine.conditions.shapes import Shape
from policy_service.language.cel.compiler import ConditionCompiler
from policy_service.language.ir import Condition, Type
from policy_service.model.address import address_text
from policy_service.model.values import ABSENT, WRONG
from tests.oracle import addresses, conditions
from tests.oracle.values import timestamp
from tests.property.cel_expressions import ATTRIBUTES, CONTEXT, NETWORK_CIDRS, NETWORKS, TYPES

COMPILER = ConditionCompiler(attributes=ATTRIBUTES, context=CONTEXT, networks=NETWORKS)
READS = {path: f"values[{path!r}]" for path in TYPES}
FAULT = conditions.FAULT
BUILTINS = {function.__name__: function for function in (len, str, float, sorted, tuple)}
"""All of Python's own functions that emitted code may call."""


def compiled(text: str) -> Condition:
    """The condition; it must be without error."""
    condition, problems = COMPILER.compile(text)
    assert condition is not None, (text, problems)
    return condition


Judge = Callable[[Mapping[str, Any]], "bool | None"]


def linked(condition: Condition, budget: int = ITERATION_BUDGET) -> Judge:
    """The emitted function."""
    pool = ConstantPool()
    source = emit_condition("judge", condition, parameters=("values",), reads=READS, pool=pool)
    judge: Judge = _run(source, pool, budget)["judge"]
    return judge


def linked_by_shape(written: Condition, condition: Condition) -> Judge:
    """The function that was written for one condition, with the literals of another one of its shape."""
    pool = ConstantPool()
    source = emit_shared("shape", written, parameters=("values",), reads=READS, pool=pool)
    judge: Judge = _run(source, pool, ITERATION_BUDGET)["shape"](*Shape.of(condition.expr).literals)
    return judge


def _run(source: str, pool: ConstantPool, budget: int) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__builtins__": BUILTINS, **PRELUDE, **pool.values, "ITERATION_BUDGET": budget}
    exec(compile(source, "<emitted condition>", "exec"), namespace)
    return namespace


def by_emitted(condition: Condition, values: Mapping[str, Any], budget: int = ITERATION_BUDGET) -> bool | str:
    outcome = linked(condition, budget)(values)
    assert outcome is None or isinstance(outcome, bool)
    return FAULT if outcome is None else outcome


def by_interpreter(condition: Condition, values: Mapping[str, Any], budget: int = ITERATION_BUDGET) -> bool | str:
    outcome = evaluate(condition, values.__getitem__, budget=budget)
    return FAULT if isinstance(outcome, Fault) else outcome


@functools.cache
def _environments() -> tuple[Any, Any]:
    """The oracle's two environments, for checking and for running: they are the same for all drawn conditions."""
    attributes = {attribute.name: str(attribute.type) for attribute in ATTRIBUTES}
    context = {attribute.name: str(attribute.type) for attribute in CONTEXT}
    networks = {name: tuple(cidrs) for name, cidrs in NETWORK_CIDRS.items()}
    return conditions.typed_environment(attributes, context), conditions.untyped_environment(networks)


def by_cel(text: str, values: Mapping[str, Any]) -> bool | str:
    """By Google's runtime, in the oracle's way (see `tests.oracle.conditions`)."""
    typed, untyped = _environments()
    checked = checked_pb2.CheckedExpr.FromString(any_pb2.Any.FromString(typed.compile(text).serialize()).value)
    conditions.settle_has_of_wrong(checked.expr, {path for path, value in values.items() if value is WRONG})
    packed = any_pb2.Any()
    packed.Pack(checked)
    readable = {path: _for_cel(value, TYPES[path]) for path, value in values.items()}
    result = untyped.deserialize(packed.SerializeToString()).eval(data=conditions.nested(readable))
    return bool(result.value()) if result.type() == cel.Type.BOOL else FAULT


def _for_cel(value: Any, kind: Type) -> Any:
    if value is ABSENT or value is WRONG:
        return value
    if kind.kind == "list":
        assert kind.element is not None
        return [_for_cel(item, kind.element) for item in value]
    if kind.kind == "timestamp":
        return timestamp(value)
    if kind.kind == "ip":
        address = addresses.parse_address(address_text(value))
        assert address is not None
        return f"{address[0]} {address[1]}"
    return value
