"""Checks of what administrators send: ids, texts, JSON, paging. Each refuses with a RequestError 400 and its code."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Final

from policy_service.model.canonical import canonical_text
from policy_service.model.errors import RequestError
from policy_service.model.names import ID, NAME, RESOURCE_ID

MAX_TEXT: Final = 256
MAX_JSON_BYTES: Final = 16 * 1024
MAX_JSON_DEPTH: Final = 8
MAX_LABELS: Final = 32
MAX_LABEL: Final = 64
_INT64: Final = range(-(1 << 63), 1 << 63)
_SHOWN: Final = 64
_WHAT: Final = {
    ID: "1 to 128 letters, digits and `._@-`, starting with a letter or digit",
    RESOURCE_ID: "1 to 128 letters, digits and `._@/:-`, starting with a letter or digit",
    NAME: "lowercase letters, digits, `_` and `-`, starting with a letter",
}


def shown(text: str) -> str:
    """User input in back-ticks, fit for one line: shortened, control characters escaped."""
    clean = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[:_SHOWN])
    return f"`{clean}{'…' if len(text) > _SHOWN else ''}`"


def near(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or nothing."""
    found = difflib.get_close_matches(name[:128], list(known), n=1)
    return f"; did you mean `{found[0]}`?" if found else ""


def check_id(what: str, text: str, pattern: re.Pattern[str] = ID) -> str:
    """The text, if it is an id of this kind; `invalid_id` otherwise."""
    if not pattern.fullmatch(text) or len(text) > 128:
        raise RequestError("invalid_id", f"{what} {shown(text)} is not an id: use {_WHAT[pattern]}")
    return text


def check_text(what: str, text: str, longest: int = MAX_TEXT) -> str:
    """Text for people: bounded, without control characters; `invalid_text` otherwise."""
    if len(text) > longest:
        raise RequestError("invalid_text", f"{what} is longer than {longest} characters; shorten it")
    if not is_clean(text):
        raise RequestError("invalid_text", f"{what} holds control characters or lone surrogates; remove them")
    return text


def is_clean(text: str) -> bool:
    """No control characters (PostgreSQL cannot even store NUL) and no lone surrogates."""
    if text.isascii() and text.isprintable():
        return True
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def check_attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    """A JSON object of at most 16 KiB, 8 levels, 64-bit and finite numbers; `invalid_attributes` otherwise."""
    problem = _json_problem(attributes, MAX_JSON_DEPTH)
    if problem is None and len(canonical_text(attributes).encode()) > MAX_JSON_BYTES:
        problem = f"they are larger than {MAX_JSON_BYTES // 1024} KiB"
    if problem is not None:
        raise RequestError("invalid_attributes", f"the attributes cannot be stored: {problem}")
    return attributes


def _json_problem(value: Any, depth: int) -> str | None:
    match value:
        case None | bool():
            return None
        case str():
            return None if is_clean(value) else "a text holds control characters or lone surrogates"
        case int():
            return None if value in _INT64 else "a whole number has more than 64 bits"
        case float():
            return None if math.isfinite(value) else "a number is not finite"
        case list() | tuple() | dict():
            return _nested_problem(value, depth)
        case _:
            return "they hold something that JSON does not know"


def _nested_problem(value: list[Any] | tuple[Any, ...] | dict[Any, Any], depth: int) -> str | None:
    if depth == 0:
        return f"they are nested deeper than {MAX_JSON_DEPTH} levels"
    parts: list[Any] = list(value)
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            return "a member's name is not a text"
        parts += value.values()
    return next((problem for part in parts if (problem := _json_problem(part, depth - 1))), None)


def check_labels(labels: dict[str, str]) -> dict[str, str]:
    """At most 32 labels, names and values up to 64 characters; `invalid_labels` otherwise. Sorted by name."""
    if len(labels) > MAX_LABELS:
        raise RequestError("invalid_labels", f"a key carries at most {MAX_LABELS} labels")
    for name, value in labels.items():
        if not name or max(len(name), len(value)) > MAX_LABEL or not is_clean(name) or not is_clean(value):
            raise RequestError(
                "invalid_labels",
                f"label {shown(name)}: names have 1 to {MAX_LABEL} characters, values up to {MAX_LABEL}, "
                "without control characters",
            )
    return dict(sorted(labels.items()))
