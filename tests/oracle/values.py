"""Declared values: what the store knows, what a caller claims, and whether it is of the declared type.

`Values are *checked* against their declared types: an integer is accepted for double, an RFC 3339 string for
timestamp; nothing else converts (a bool is no int, 3.0 no int, null is present and wrong; one wrong element makes a
list wrong).`
"""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from policy_service.model.instants import parse_rfc3339
from policy_service.model.values import ABSENT, WRONG

NS_PER_S = 1_000_000_000


def timestamp(instant_ns: int) -> Timestamp:
    """An instant as CEL's runtime takes it, exact to the nanosecond."""
    return Timestamp(seconds=instant_ns // NS_PER_S, nanos=instant_ns % NS_PER_S)


def type_of(declaration: Any) -> str:
    """`env: string` and `env: {type: string, …}` say the same."""
    text: str = declaration["type"] if isinstance(declaration, dict) else declaration
    return text.replace(" ", "")


def check(kind: str, value: Any) -> Any:
    """The value as CEL's runtime takes it, or WRONG."""
    if kind.startswith("list("):
        if not isinstance(value, list):
            return WRONG
        items = [check(kind[len("list(") : -1], item) for item in value]
        return WRONG if any(item is WRONG for item in items) else items
    if kind == "string":
        return value if isinstance(value, str) else WRONG
    if kind == "bool":
        return value if isinstance(value, bool) else WRONG
    if isinstance(value, bool):
        return WRONG  # a bool is no int, though Python thinks so
    if kind == "int":
        return value if isinstance(value, int) and -(2**63) <= value < 2**63 else WRONG
    if kind == "double":
        # An integer too large for any double is not of the type.
        return float(value) if isinstance(value, int | float) and abs(value) < 2**1024 - 2**970 else WRONG
    assert kind == "timestamp"
    instant = parse_rfc3339(value) if isinstance(value, str) else None
    return WRONG if instant is None else timestamp(instant)


def declared_value(declaration: Any, sources: list[dict[str, Any]], name: str) -> Any:
    """The value in the first source that has the name, else the default, else ABSENT."""
    kind = type_of(declaration)
    for source in sources:
        if name in source:
            return check(kind, source[name])
    if isinstance(declaration, dict) and "default" in declaration:
        return check(kind, declaration["default"])
    return ABSENT


def attribute_values(
    declarations: dict[str, Any], stored: dict[str, Any] | None, claimed: dict[str, Any]
) -> dict[str, Any]:
    """`resource.attr`. `stored` is None for an unregistered resource."""
    values = {}
    for name, declaration in declarations.items():
        # "Where the store knows an attribute, a caller's value is ignored."
        sources = [stored or {}]
        # "An attribute declared `from: store` is never taken from a caller."
        if not (isinstance(declaration, dict) and declaration.get("from") == "store"):
            sources.append(claimed)
        values[name] = declared_value(declaration, sources, name)
    return values


def context_values(declarations: dict[str, Any], claimed: dict[str, Any]) -> dict[str, Any]:
    """`request.context`: what is declared; the rest is ignored."""
    return {name: declared_value(declaration, [claimed], name) for name, declaration in declarations.items()}
