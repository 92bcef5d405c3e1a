"""One condition and one set of values, judged three ways: emitted code, interpreter, Google's CEL runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from policy_service.engine.conditions.emit import ConstantPool, emit_condition
from policy_service.engine.conditions.evaluate import Fault, evaluate
from policy_service.engine.conditions.runtime import PRELUDE
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


def compiled(text: str) -> Condition:
    """The condition; it must be without error."""
    condition, problems = COMPILER.compile(text)
    assert condition is not None, (text, problems)
    return condition


def linked(condition: Condition) -> Callable[[Mapping[str, Any]], bool | None]:
    """The emitted function."""
    pool = ConstantPool()
    source = emit_condition("judge", condition, parameters=("values",), reads=READS, pool=pool)
    namespace = {**PRELUDE, **pool.values}
    exec(compile(source, "<emitted condition>", "exec"), namespace)
    judge: Callable[[Mapping[str, Any]], bool | None] = namespace["judge"]
    return judge


def by_emitted(condition: Condition, values: Mapping[str, Any]) -> bool | str:
    outcome = linked(condition)(values)
    assert outcome is None or isinstance(outcome, bool)
    return FAULT if outcome is None else outcome


def by_interpreter(condition: Condition, values: Mapping[str, Any]) -> bool | str:
    outcome = evaluate(condition, values.__getitem__)
    return FAULT if isinstance(outcome, Fault) else outcome


def by_cel(text: str, values: Mapping[str, Any]) -> bool | str:
    """By Google's runtime, through the oracle."""
    return conditions.judge(
        text,
        {path: _for_cel(value, TYPES[path]) for path, value in values.items()},
        attributes={attribute.name: str(attribute.type) for attribute in ATTRIBUTES},
        context={attribute.name: str(attribute.type) for attribute in CONTEXT},
        networks=NETWORK_CIDRS,
    )


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
