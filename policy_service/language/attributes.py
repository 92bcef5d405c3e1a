"""Declared values: `attributes:` of a resource type, and context.yaml."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from policy_service.language.ir import Kind, Type
from policy_service.language.places import Place
from policy_service.language.policy import Attribute
from policy_service.language.report import quoted
from policy_service.language.scalars import NOUNS, PLAIN_DOUBLE, PLAIN_INT, kind_of
from policy_service.language.yaml_nodes import Mapping, Scalar
from policy_service.model import names
from policy_service.model.instants import parse_rfc3339

_ELEMENTS: Final[dict[str, Kind]] = {
    "string": "string",
    "int": "int",
    "double": "double",
    "bool": "bool",
    "timestamp": "timestamp",
}
_LIST: Final = re.compile(r"list\(([^()]*)\)")
_TYPES: Final = (*_ELEMENTS, *(f"list({name})" for name in _ELEMENTS))
_MAX_ATTRIBUTES: Final = 200
CEL_KEYWORDS: Final = frozenset({"false", "in", "null", "true"})
"""Words that CEL keeps for itself: no attribute can be called so."""


class Declared(msgspec.Struct, frozen=True):
    """Declared attributes, and the names of those with mistakes.

    What reads a broken one would be reported again by the condition's type check, so such conditions are left alone.
    `broken` is None when the whole declaration is unreadable.
    """

    attributes: tuple[Attribute, ...] = ()
    broken: frozenset[str] | None = frozenset()


def read_attributes(place: Place, *, from_allowed: bool) -> Declared:
    """A mapping from names to types, or to `{type, default, from}`.

    Args:
        from_allowed: whether `from: store` has a meaning here; context always comes from the caller.
    """
    members = place.members("a mapping from names to types")
    if members is None:
        return Declared(broken=None)
    if len(members) > _MAX_ATTRIBUTES:
        place.error("too-many", f"there are more than {_MAX_ATTRIBUTES} names; take some out")
        return Declared(broken=None)
    found, broken = [], set()
    for key, value in members:
        name = _attribute_name(key)
        attribute = _attribute(name or "", value, from_allowed)
        if name is not None and attribute is not None:
            found.append(attribute)
        elif name is not None:
            broken.add(name)
    return Declared(tuple(sorted(found, key=lambda attribute: attribute.name)), frozenset(broken))


def read_context(root: Place) -> Declared:
    """context.yaml: what `request.context` may hold."""
    fields = root.fields("this file", ("context",), ("context",)) or {}
    return read_attributes(fields["context"], from_allowed=False) if "context" in fields else Declared(broken=None)


def _attribute_name(key: Place) -> str | None:
    name = key.name(names.ATTRIBUTE, "an attribute name")
    if name in CEL_KEYWORDS:
        key.error("bad-name", f"{quoted(name)} is a word of the condition language; choose another name")
        return None
    return name


def _attribute(name: str, place: Place, from_allowed: bool) -> Attribute | None:
    if not isinstance(place.node, Mapping):
        kind = _type(place)
        return None if kind is None else Attribute(name, kind)
    known = ("type", "default", "from") if from_allowed else ("type", "default")
    fields = place.fields("an attribute", known, ("type",)) or {}
    kind = _type(fields["type"]) if "type" in fields else None
    from_store = "from" in fields and fields["from"].choice(("store",), "a source") is not None
    if kind is None:
        return None
    if "default" not in fields:
        return Attribute(name, kind, from_store=from_store)
    value = _value(fields["default"], kind)
    return None if value is None else Attribute(name, kind, True, value, from_store)


def _type(place: Place) -> Type | None:
    text = place.text("a type such as string or list(string)")
    if text is None:
        return None
    compact = text.replace(" ", "")
    match = _LIST.fullmatch(compact)
    element = _ELEMENTS.get(match.group(1) if match else compact)
    if element is None:
        place.error("unknown-type", f"{quoted(text)} is not a type{place.hint(text, _TYPES)}")
        return None
    return Type("list", Type(element)) if match else Type(element)


def _value(place: Place, kind: Type) -> Any:
    """A default in its run-time form: timestamps as nanoseconds, lists as tuples. None after a mistake."""
    if kind.element is not None:
        items = place.items(f"a default of type {kind}")
        values = [_scalar_value(item, kind.element) for item in items or ()]
        return None if items is None or None in values else tuple(values)
    return _scalar_value(place, kind)


def _scalar_value(place: Place, kind: Type) -> Any:
    if kind.kind == "string":
        return place.text("a string")
    if kind.kind == "timestamp":
        return _timestamp(place)
    node = place.node
    if not isinstance(node, Scalar) or node.style != "plain":
        place.error("wrong-type", f"a default of type {kind} is expected; write it without quotes")
        return None
    return _number_or_bool(place, node.value, kind)


def _timestamp(place: Place) -> int | None:
    text = place.text("a timestamp in quotes")
    instant = None if text is None else parse_rfc3339(text)
    if text is not None and instant is None:
        message = f'{quoted(text)} is not a timestamp; write it as in "2026-01-31T09:00:00Z"'
        place.error("wrong-type", message)
    return instant


def _number_or_bool(place: Place, plain: str, kind: Type) -> Any:
    if kind.kind == "bool" and plain in ("true", "false"):
        return plain == "true"
    if kind.kind == "int" and PLAIN_INT.fullmatch(plain) and -(2**63) <= int(plain) < 2**63:
        return int(plain)
    if kind.kind == "double" and PLAIN_DOUBLE.fullmatch(plain) and abs(float(plain)) != float("inf"):
        return float(plain)
    place.error(*_number_mistake(plain, kind))
    return None


_SPELLINGS: Final = {
    "bool": "write `true` or `false`",
    "int": "write a whole number of 64 bits in decimal digits, such as 42",
    "double": "write a decimal number such as 1000.0",
}


def _number_mistake(plain: str, kind: Type) -> tuple[str, str]:
    """Code and message: a spelling that readers of YAML disagree about, or simply another type."""
    found = kind_of(plain)
    wanted = {"bool": ("bool",), "int": ("int",), "double": ("int", "float")}[kind.kind]
    if found == "null":
        return "yaml-null", f"a default of type {kind} is expected, but there is no value; {_SPELLINGS[kind.kind]}"
    if found in wanted:
        return (
            "yaml-trap",
            f"not every reader of YAML takes {quoted(plain)} for the same value; {_SPELLINGS[kind.kind]}",
        )
    noun = NOUNS[found]
    return "wrong-type", f"a default of type {kind} is expected, not {noun} {quoted(plain)}; {_SPELLINGS[kind.kind]}"
