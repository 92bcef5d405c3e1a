"""Values in test files: instants, flags, lists that may be one item, and JSON values as a caller would send them."""

from __future__ import annotations

from typing import Any, Final

from policy_service.language.places import Place
from policy_service.language.report import quoted
from policy_service.language.scalars import NOUNS, PLAIN_DOUBLE, PLAIN_INT, kind_of
from policy_service.language.yaml_nodes import Mapping, Scalar, Sequence
from policy_service.model.instants import parse_rfc3339

_WORDS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None}


def read_instant(place: Place | None) -> int | None:
    """An RFC 3339 instant in quotes, as nanoseconds; None without one or after a mistake."""
    text = None if place is None else place.text("an instant in quotes")
    if place is None or text is None:
        return None
    instant = parse_rfc3339(text)
    if instant is None:
        place.error("wrong-type", f'{quoted(text)} is not an instant; write it as in "2026-01-31T09:00:00Z"')
    return instant


def read_flag(place: Place | None) -> bool:
    """`true` or `false`; False without one."""
    if place is None:
        return False
    node = place.node
    if isinstance(node, Scalar) and node.style == "plain" and node.value in ("true", "false"):
        return node.value == "true"
    place.error("wrong-type", "`true` or `false` is expected, without quotes")
    return False


def one_or_more(place: Place | None, what: str) -> list[Place]:
    """The items of a list; what is no list is its own only item."""
    if place is None:
        return []
    return place.items(what) or [] if isinstance(place.node, Sequence) else [place]


def read_json(place: Place) -> Any:
    """A value as JSON has it. What readers of YAML disagree about is reported, and becomes None."""
    node = place.node
    if isinstance(node, Mapping):
        members = place.members("a mapping") or ()
        return {name: read_json(value) for key, value in members if (name := key.text("a name")) is not None}
    if isinstance(node, Sequence):
        return [read_json(item) for item in place.items("a list") or ()]
    return node.value if node.style != "plain" else _plain(place, node.value)


def _plain(place: Place, text: str) -> Any:
    kind = kind_of(text)
    if kind == "text":
        return text
    if text in _WORDS:
        return _WORDS[text]
    if kind == "int" and PLAIN_INT.fullmatch(text):
        return int(text)
    if kind == "float" and PLAIN_DOUBLE.fullmatch(text):
        return float(text)
    message = f'{quoted(text)} is {NOUNS[kind]} to some readers of YAML; quote it: "{text}"'
    place.error("yaml-trap", message)
    return None
