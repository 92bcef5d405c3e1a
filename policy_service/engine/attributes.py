"""Values against their declared types: what the store knows, what a caller claims, defaults.

A value is checked, hardly ever converted: an integer is accepted for double, an RFC 3339 string for timestamp, and
nothing else (a bool is no int, 3.0 is no int, null is present and wrong).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from policy_service.engine.views import ResourceView
from policy_service.language.ir import Type
from policy_service.language.policy import Attribute
from policy_service.model.address import address_point
from policy_service.model.instants import parse_rfc3339
from policy_service.model.values import ABSENT, WRONG

_INT_RANGE: Final = range(-(1 << 63), 1 << 63)
_NO_CLAIMS: Final[Mapping[str, Any]] = {}


def check_value(value: object, declared: Type) -> object:
    """The run-time form of a JSON value, or WRONG where it is not of the declared type.

    A list with one wrong element is wrong as a whole.
    """
    if declared.kind == "list":
        return _check_list(value, declared.element)
    if declared.kind == "timestamp":
        return _check_timestamp(value)
    if declared.kind == "double":
        return _check_double(value)
    if declared.kind == "int":
        return value if type(value) is int and value in _INT_RANGE else WRONG
    expected = bool if declared.kind == "bool" else str
    return value if type(value) is expected else WRONG


def _check_list(value: object, element: Type | None) -> object:
    if element is None or not isinstance(value, list | tuple):
        return WRONG
    items = tuple(check_value(item, element) for item in value)
    return WRONG if WRONG in items else items


def _check_timestamp(value: object) -> object:
    instant = parse_rfc3339(value) if isinstance(value, str) else None
    return WRONG if instant is None else instant


def _check_double(value: object) -> object:
    if type(value) is float:
        return value
    if type(value) is not int:
        return WRONG
    try:
        return float(value)
    except OverflowError:
        return WRONG


def known_value(attribute: Attribute, stored: Mapping[str, Any]) -> object:
    """What needs no caller: the store's value, or for a `from: store` attribute its default or ABSENT.

    None where a caller's claim is to be heard. (None is no run-time value: null is WRONG.)
    """
    if attribute.name in stored:
        return check_value(stored[attribute.name], attribute.type)
    return fallback(attribute) if attribute.from_store else None


def claimed_value(attribute: Attribute, claims: Mapping[str, Any]) -> object:
    """The caller's claim, else the default, else ABSENT."""
    if attribute.name in claims:
        return check_value(claims[attribute.name], attribute.type)
    return fallback(attribute)


def fallback(attribute: Attribute) -> object:
    """The value where nobody gives one."""
    return attribute.default if attribute.has_default else ABSENT


def source_point(source_ip: str | None) -> object:
    """`request.ip`: the point of the address, ABSENT without one, WRONG for an invalid one."""
    if source_ip is None:
        return ABSENT
    point = address_point(source_ip)
    return WRONG if point is None else point


def owner_of(view: ResourceView | None, claimed: str | None) -> object:
    """`resource.owner`: the store's for a registered resource, even when absent; else the caller's."""
    owner = claimed if view is None else view.fact.owner
    return ABSENT if owner is None else owner


class AttributeReader:
    """Reads the given attributes of one resource type as a tuple, in the given order.

    Each element is a value of the declared type, ABSENT or WRONG. What the store says of a resource is checked once
    and kept in its view until the resource or the active bundle changes.
    """

    __slots__ = ("_attributes", "_unregistered", "_unregistered_unclaimed")

    def __init__(self, attributes: Sequence[Attribute]) -> None:
        self._attributes = tuple(attributes)
        self._unregistered = self._known(_NO_CLAIMS)
        self._unregistered_unclaimed = self._complete(self._unregistered, _NO_CLAIMS)

    def read(self, view: ResourceView | None, claims: Mapping[str, Any]) -> tuple[object, ...]:
        """The values for a resource (`view` is None for an unregistered one) and a caller's claims."""
        if view is None:
            return self._complete(self._unregistered, claims) if claims else self._unregistered_unclaimed
        if view.known is None:
            view.known = self._known(view.fact.attributes)
            view.unclaimed = self._complete(view.known, _NO_CLAIMS)
        return self._complete(view.known, claims) if claims else view.unclaimed

    def _known(self, stored: Mapping[str, Any]) -> tuple[object, ...]:
        return tuple(known_value(attribute, stored) for attribute in self._attributes)

    def _complete(self, known: tuple[object, ...], claims: Mapping[str, Any]) -> tuple[object, ...]:
        if None not in known:
            return known
        return tuple(
            claimed_value(attribute, claims) if value is None else value
            for attribute, value in zip(self._attributes, known, strict=True)
        )


class ContextReader:
    """Reads the given declared values of `request.context` as a tuple, in the given order."""

    __slots__ = ("_attributes", "_unclaimed")

    def __init__(self, attributes: Sequence[Attribute]) -> None:
        self._attributes = tuple(attributes)
        self._unclaimed = tuple(fallback(attribute) for attribute in attributes)

    def read(self, context: Mapping[str, Any]) -> tuple[object, ...]:
        """A value of the declared type, ABSENT or WRONG for each."""
        if not context:
            return self._unclaimed
        return tuple(claimed_value(attribute, context) for attribute in self._attributes)
