"""Questions read at once: the strict subset of bodies that need no explaining. Whoever is not read here is explained.

A body is read here only where `json_reader` and `bodies` would take it too, and then it asks the same
(tests/property/test_plain_questions.py). Nothing is refused here: None says that the slow reading has to judge.

What msgspec does not say by itself is told by counting. In JSON without a backslash every text, names of members too,
has two quotation marks, and no others are there. A member that stands twice was overwritten by its second value: then
the body has more quotation marks than what was read from it accounts for.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from policy_service.api.bodies import MAX_BATCH
from policy_service.api.tracing import Trace
from policy_service.model.names import NAME, RESOURCE_ID, split_resource
from policy_service.model.request import ResourceRef
from policy_service.service.deciding.decisions import Ask

T = TypeVar("T")

_LONGEST_NAME: Final = 128
_LONGEST_TEXT: Final = 257
_INT64: Final = (1 << 63) - 1
_DEEPEST: Final = 16
"""Levels of a claim that are looked into here: fewer than a body may have."""

_UNFIT: Final = 1 << 40
"""More quotation marks than any body has: what holds this is not read here."""

_CONTROL: Final = re.compile("[\x7f-\x9f]")


class _Place(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    id: str
    workspace: str | UnsetType | None = UNSET
    owner: str | UnsetType | None = UNSET
    attributes: dict[str, Any] | UnsetType | None = UNSET


class _Question(msgspec.Struct, forbid_unknown_fields=True):
    scope: str
    resource: _Place | str
    key: str | UnsetType | None = UNSET
    source_ip: str | UnsetType | None = UNSET
    context: dict[str, Any] | UnsetType | None = UNSET
    min_revision: int | UnsetType | None = UNSET


class _Item(_Question, forbid_unknown_fields=True):
    id: str | UnsetType | None = UNSET


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    requests: list[_Item]


_QUESTION: Final = msgspec.json.Decoder(_Question)
_BATCH: Final = msgspec.json.Decoder(_Batch)


def read_question(body: bytes, trace: Trace) -> Ask | None:
    """The question of a body; None where it has to be explained. Cost: some 2 µs."""
    marks = _marks(body)
    if not marks:
        return None
    try:
        asked = _QUESTION.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return _ask(asked, None, trace) if _accounted(asked) == marks else None


def read_batch(body: bytes, trace: Trace) -> list[Ask] | None:
    """The questions of a batch, all of them; None where any of it has to be explained."""
    marks = _marks(body)
    if not marks:
        return None
    try:
        items = _BATCH.decode(body).requests
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    accounted = 2 + sum([_accounted(item) + _of_text(item.id) for item in items])
    if accounted != marks or not 0 < len(items) <= MAX_BATCH:
        return None
    asks: list[Ask] = []
    for item in items:
        ask = _ask(item, _told(item.id), trace)
        if ask is None:
            return None
        asks.append(ask)
    return asks


def _marks(body: bytes) -> int:
    """The quotation marks of a body whose texts stand there as they are; 0 where they do not."""
    if b"\\" in body:
        return 0
    if not body.isascii() or b"\x7f" in body:
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return 0
        if _CONTROL.search(text):
            return 0
    return body.count(b'"')


def _accounted(asked: _Question) -> int:
    """The quotation marks that a question was read from, where no member stood twice."""
    # No helpers for the members that are texts: this runs for every question.
    key, source, context, place = asked.key, asked.source_ip, asked.context, asked.resource
    marks = 6 if key is UNSET else 8 if key is None else 10
    if source is not UNSET:
        marks += 2 if source is None else 4
    if context is not UNSET:
        marks += _of_claims(context)
    if asked.min_revision is not UNSET:
        marks += 2
    if isinstance(place, str):
        return marks + 2
    workspace, attributes = place.workspace, place.attributes
    if workspace is not UNSET:
        marks += 2 if workspace is None else 4
    if attributes is not UNSET:
        marks += _of_claims(attributes)
    return marks + 8 + _of_text(place.owner)


def _of_text(value: str | UnsetType | None) -> int:
    return 0 if value is UNSET else 2 if value is None else 4


def _of_claims(claims: dict[str, Any] | None) -> int:
    return 2 + _of_value(claims, 0) if claims else 2


def _of_value(value: Any, depth: int) -> int:
    """The quotation marks of a claim; `_UNFIT` where it holds what the slow reading may refuse."""
    kind = type(value)
    if kind is str:
        return 2
    if kind is int:
        return 0 if -_INT64 <= value <= _INT64 else _UNFIT
    if kind is dict or kind is list:
        if depth == _DEEPEST:
            return _UNFIT
        members = value.values() if kind is dict else value
        own = 2 * len(value) if kind is dict else 0
        return own + sum(_of_value(member, depth + 1) for member in members)
    # A double from digits alone would be an integer out of range.
    return _UNFIT if kind is float and abs(value) > _INT64 else 0


def _ask(asked: _Question, name: str | None, trace: Trace) -> Ask | None:
    """What is asked, where its parts have the forms that `bodies` demands."""
    place = _place(asked.resource)
    wanted, key, source, context = asked.min_revision, asked.key, asked.source_ip, asked.context
    if wanted is UNSET:
        wanted = None
    if place is None or (wanted is not None and not 0 <= wanted <= _INT64):
        return None
    if name is not None and len(name) > _LONGEST_NAME:
        return None
    return Ask(
        key=None if key is UNSET else key,
        scope=asked.scope,
        resource=place,
        source_ip=None if source is UNSET else source,
        context=context or {},
        min_revision=wanted,
        id=name,
        request_id=trace.request_id,
        trace_id=trace.trace_id,
    )


def _place(given: _Place | str) -> ResourceRef | None:
    if isinstance(given, str):
        named = split_resource(given) if len(given) <= _LONGEST_TEXT else None
        return None if named is None else ResourceRef(*named)
    if len(given.type) > _LONGEST_NAME or not NAME.fullmatch(given.type) or not RESOURCE_ID.fullmatch(given.id):
        return None
    workspace, owner = given.workspace, given.owner
    return ResourceRef(
        given.type,
        given.id,
        None if workspace is UNSET else workspace,
        None if owner is UNSET else owner,
        given.attributes or {},
    )


def _told(value: T | UnsetType | None) -> T | None:
    return None if value is UNSET else value
