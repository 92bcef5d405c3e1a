"""Text from the command line as the values that a policy declares."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Final

from policy_service.cli.shared.nouns import pairs
from policy_service.language.ir import Type
from policy_service.language.policy import Attribute
from policy_service.model.errors import UsageError
from policy_service.model.instants import parse_rfc3339

_BOOLS: Final = {"true": True, "false": False}
_INT64: Final = range(-(1 << 63), 1 << 63)


def parse_claims(items: Iterable[str], declared: Sequence[Attribute], option: str) -> tuple[dict[str, Any], list[str]]:
    """`name=value` options as JSON-ready claims of their declared types.

    Returns:
        the claims, and a sentence for each name that the policy does not declare (or reads from the store alone):
        such a claim is ignored by the decision.

    Raises:
        UsageError: a value is not of its declared type.
    """
    known = {attribute.name: attribute for attribute in declared}
    claims: dict[str, Any] = {}
    notes: list[str] = []
    for name, text in pairs(items, option).items():
        attribute = known.get(name)
        if attribute is None:
            notes.append(_undeclared(name, list(known), option))
            continue
        if attribute.from_store:
            notes.append(f"`{option} {name}=…` is ignored: the policy takes `{name}` from the store alone")
        claims[name] = parse_value(text, attribute.type, f"{option} {name}={text}")
    return claims, notes


def _undeclared(name: str, known: list[str], option: str) -> str:
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean `{near[0]}`?" if near else ""
    return f"`{option} {name}=…` is ignored: the policy does not declare `{name}`{hint}"


def parse_value(text: str, kind: Type, shown: str) -> Any:
    """One value. Lists are comma-separated, or a JSON array.

    Raises:
        UsageError: the text is not of that type; `shown` is the option as it was typed.
    """
    if kind.kind == "list":
        element = kind.element
        assert element is not None  # a list always has an element type
        return [parse_value(part, element, shown) for part in _parts(text, shown)]
    try:
        return _scalar(text, kind)
    except ValueError:
        raise UsageError("usage", f"`{shown}` must be {_WORDS[kind.kind]}") from None


_WORDS: Final = {
    "bool": "`true` or `false`",
    "int": "a whole number of at most 64 bits",
    "double": "a number",
    "string": "text",
    "timestamp": "an instant such as 2026-11-24T06:00:00Z",
}


def _scalar(text: str, kind: Type) -> bool | int | float | str:
    if kind.kind == "bool":
        if text not in _BOOLS:
            raise ValueError(text)
        return _BOOLS[text]
    if kind.kind == "int":
        return _int(text)
    if kind.kind == "double":
        return float(text)
    if kind.kind == "timestamp" and parse_rfc3339(text) is None:
        raise ValueError(text)
    return text


def _int(text: str) -> int:
    if len(text) > 20 or not text.isascii() or "_" in text or int(text) not in _INT64:
        raise ValueError(text)
    return int(text)


def _parts(text: str, shown: str) -> list[str]:
    if not text.startswith("["):
        return text.split(",") if text else []
    try:
        items = json.loads(text)
    except ValueError:
        raise UsageError("usage", f"`{shown}` must be a comma-separated list, or a JSON array") from None
    return [item if isinstance(item, str) else json.dumps(item) for item in items]
