"""Strict JSON: bytes of a stranger to Python values, or a refusal with a stable code.

Refused beyond what RFC 8259 refuses: duplicate members, `NaN` and `Infinity`, numbers that would lose their value,
deep nesting, lone surrogates, control characters. Nothing is repaired, nothing is dropped.

| code | when |
|---|---|
| `invalid_encoding` | not UTF-8 |
| `invalid_json` | not JSON; an empty body; text after the value |
| `duplicate_member` | a member stands twice in one object |
| `number_out_of_range` | `NaN`, `Infinity`, an integer past 64 bits, a number past a double |
| `too_deep` | more than `MAX_DEPTH` levels |
| `lone_surrogate` | half of a UTF-16 pair, which no UTF-8 can carry |
| `control_character` | U+0000–U+001F, U+007F–U+009F in a text, but for the texts exempt from it |
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Container
from typing import Any, Final, NoReturn

from policy_service.model.errors import RequestError

MAX_DEPTH: Final = 32
"""Levels of lists and objects in one question."""

BATCH_DEPTH: Final = MAX_DEPTH + 2
"""A batch is a list inside an object around its questions."""

Path = tuple[str, ...]
Exempt = Container[Path]

_MAX_INT: Final = (1 << 63) - 1
_MIN_INT: Final = -(1 << 63)
_INT_DIGITS: Final = 20
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NEEDS_A_LOOK: Final = re.compile("[\\\\\x7f-\x9f]")


def read_json(data: bytes, *, exempt: Exempt = frozenset(), depth: int = MAX_DEPTH) -> Any:
    """The value that a whole body tells.

    Args:
        exempt: member paths (from the top) whose text may hold control characters.
        depth: the deepest nesting taken.

    Raises:
        RequestError: 400, codes as in the table above.

    Cost: about 6 µs for a usual question; texts and depth are walked only where the raw body gives cause to.
    """
    text = decode(data)
    value = parse(text, depth)
    if _NEEDS_A_LOOK.search(text):
        check_texts(value, exempt)
    return value


def decode(data: bytes) -> str:
    """The text of a body. Raises RequestError `invalid_encoding`."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError("invalid_encoding", f"the body is not UTF-8 (byte {error.start}); send UTF-8") from None


def parse(text: str, depth: int = MAX_DEPTH) -> Any:
    """Text to values, without a look into the strings (see `check_texts`)."""
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _invalid_json(text, error) from None
    except RecursionError:
        raise _too_deep(depth) from None
    if text.count("[") + text.count("{") > depth and _is_deeper(value, depth):
        raise _too_deep(depth)
    return value


def check_texts(value: Any, exempt: Exempt = frozenset()) -> None:
    """Refuse lone surrogates anywhere, and control characters but at the exempt paths.

    Raises:
        RequestError: `lone_surrogate`, `control_character`; the message names the place.
    """
    todo: list[tuple[Any, Path]] = [(value, ())]
    while todo:
        item, path = todo.pop()
        if isinstance(item, str):
            _check_text(item, path, path in exempt)
        elif isinstance(item, dict):
            for name, member in item.items():
                _check_text(name, path, False)
                todo.append((member, (*path, name)))
        elif isinstance(item, list):
            todo.extend((member, (*path, f"[{index}]")) for index, member in enumerate(item))


def _check_text(text: str, path: Path, may_hold_controls: bool) -> None:
    if _SURROGATE.search(text):
        raise RequestError(
            "lone_surrogate", f"`{show_path(path)}` holds half of a surrogate pair; send whole characters"
        )
    found = None if may_hold_controls else _CONTROL.search(text)
    if found:
        point = f"U+{ord(found.group()):04X}"
        raise RequestError(
            "control_character", f"`{show_path(path)}` holds the control character {point}; leave it out"
        )


def show_path(path: Path) -> str:
    """`$.resource.attributes.env`; what cannot be shown in one line is escaped."""
    text = "$" + "".join(step if step.startswith("[") else f".{step}" for step in path)
    return _printable(text)


def _printable(text: str, limit: int = 200) -> str:
    shown = text if len(text) <= limit else text[:limit] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise RequestError("duplicate_member", f"the member `{_printable(name)}` stands twice in one object")
            seen.add(name)
    return members


def _integer(text: str) -> int:
    number = int(text) if len(text) <= _INT_DIGITS else _MAX_INT + 1
    if not _MIN_INT <= number <= _MAX_INT:
        raise RequestError("number_out_of_range", f"`{_printable(text, 30)}` does not fit into 64 bits")
    return number


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise RequestError("number_out_of_range", f"`{_printable(text, 30)}` does not fit into a double")
    return number


def _constant(text: str) -> NoReturn:
    raise RequestError("number_out_of_range", f"`{text}` is no JSON number; leave the member out")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_number, parse_constant=_constant
)


def _invalid_json(text: str, error: json.JSONDecodeError) -> RequestError:
    if not text.strip():
        return RequestError("invalid_json", "the body is empty; send a JSON object")
    if text.startswith("\ufeff"):
        return RequestError("invalid_json", "the body starts with a byte order mark; leave it out")
    message = error.msg[:1].lower() + error.msg[1:]
    where = f"line {error.lineno} column {error.colno}"
    return RequestError("invalid_json", f"the body is not JSON: {message} ({where})")


def _is_deeper(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            member
            for item in level
            if isinstance(item, (dict, list))
            for member in (item.values() if isinstance(item, dict) else item)
            if isinstance(member, (dict, list))
        ]
        if not level:
            return False
    return True


def _too_deep(depth: int) -> RequestError:
    return RequestError("too_deep", f"the body is nested more than {depth} levels deep")
