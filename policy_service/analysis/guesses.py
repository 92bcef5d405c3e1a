"""Values worth trying in a condition: what it compares with, and what lies beside that.

A guess is never believed, only tried: most of what a solver would find in milliseconds is found here in microseconds.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

from policy_service.language import ir
from policy_service.language.ir import Condition, Type
from policy_service.language.policy import Policy, ResourcePattern
from policy_service.language.variables import ATTRIBUTE_PREFIX, CONTEXT_PREFIX, STANDARD
from policy_service.model.address import address_point
from policy_service.model.values import ABSENT, WRONG

Given = Mapping[str, object]
"""Path → a run-time value, ABSENT or WRONG."""

MAX_COMBINED: Final = 256
"""Combinations of values, for one condition."""
_MAX_VALUES: Final = 14
_MAX_LENGTH: Final = 200
_FRESH: Final = "any-text"
_FRESH_ID: Final = "r1"
_POINTS: Final = tuple(address_point(text) for text in ("203.0.113.7", "192.0.2.1"))
_PLAIN: Final[dict[str, tuple[object, ...]]] = {
    "bool": (False, True),
    "int": (0,),
    "double": (0.0,),
    "string": (_FRESH,),
    "timestamp": (),
    "ip": _POINTS,
    "list": ((),),
    "map": ({},),
}


class Guesser:
    """Guesses for conditions that see one resource type.

    Args:
        now: an instant to be tried among others.
    """

    def __init__(self, policy: Policy, type_: str | None, now: int) -> None:
        resource = policy.resources.get(type_ or "")
        self._now = now
        self._optional = {one.path for one in STANDARD if one.optional}
        self._types = {one.path: one.type for one in STANDARD}
        for prefix, declared in (
            (ATTRIBUTE_PREFIX, resource.attributes if resource else ()),
            (CONTEXT_PREFIX, policy.context),
        ):
            self._types |= {prefix + one.name: one.type for one in declared}
            self._optional |= {prefix + one.name for one in declared if not one.has_default}
        self._declared = frozenset(self._types) - {one.path for one in STANDARD}

    def givens(self, conditions: Sequence[Condition], patterns: Sequence[ResourcePattern] | None) -> Iterator[Given]:
        """Combinations of values for all that the conditions read, and ids that the patterns match."""
        values = {path: self._plain(path) for condition in conditions for path in sorted(condition.reads())}
        for condition in conditions:
            for paths, found in _compared(condition):
                for path in paths:
                    values[path] += _near(self._types[path], found)
        several = {path: self._ordered(path, found) for path, found in values.items() if path != "resource.id"}
        several["resource.id"] = _ids(patterns, values.get("resource.id", ()))
        names = list(several)
        yield from (dict(zip(names, one, strict=True)) for one in _combined([several[name] for name in names]))

    @property
    def usual_point(self) -> object:
        """An address like any other."""
        return _POINTS[0]

    def everything(self) -> Given:
        """Something at every declared path: a world in which no condition faults for want of a value."""
        return {path: (self._plain(path) or [0])[0] for path in self._declared}

    def _plain(self, path: str) -> list[object]:
        kind = self._types[path]
        return [self._now] if kind.kind == "timestamp" else [*_PLAIN[kind.kind]]

    def _ordered(self, path: str, found: list[object]) -> list[object]:
        """What is compared with first, then the plain ones, then nothing at all, and what faults."""
        if self._types[path].kind == "list":
            found = [*found, tuple(dict.fromkeys(item for one in found if isinstance(one, tuple) for item in one))]
        kept = list({(type(one), _key(one)): one for one in reversed(found)}.values())[:_MAX_VALUES]
        if path in self._optional:
            kept.append(ABSENT)
        return [*kept, WRONG] if path in self._declared or path == "request.ip" else kept


def _key(value: object) -> object:
    return tuple(sorted(value.items())) if isinstance(value, dict) else value


def _combined(lists: list[list[object]]) -> Iterator[tuple[object, ...]]:
    """All combinations where they are few, else some of them, always the same."""
    if math.prod(map(len, lists)) <= MAX_COMBINED:
        yield from product(*lists)
        return
    # Not secret, and the same in every run.
    chance = random.Random(len(lists))  # noqa: S311
    for _ in range(MAX_COMBINED):
        yield tuple(chance.choice(one) for one in lists)


def _compared(condition: Condition) -> Iterator[tuple[set[str], list[ir.Expr]]]:
    """The paths of each atomic condition, with all that stands beside them in it."""
    waiting: list[ir.Expr] = [condition.expr]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ir.And | ir.Or | ir.Not | ir.Conditional):
            waiting.extend(ir.children(node))
            continue
        inside = list(ir.walk(node))
        paths = {one.path for one in inside if isinstance(one, ir.Read)}
        if paths:
            yield paths, inside


def _near(kind: Type, beside: Iterable[ir.Expr]) -> list[object]:
    """Values of a type that are, or lie next to, what stands beside a path."""
    beside = list(beside)
    consts = [one.value for one in beside if isinstance(one, ir.Const)]
    if kind.kind == "ip":
        networks = [network for one in beside if isinstance(one, ir.InNetworks) for network in one.networks]
        return [point for network in networks[:4] for point in (network.last, network.first)]
    if kind.kind == "list":
        return _lists(kind.element or kind, beside)
    if kind.kind == "map":
        keys = [one.key for one in beside if isinstance(one, ir.HasEntry)]
        texts = [one for one in consts if isinstance(one, str)]
        labels: list[object] = [{key: text} for key in (*keys, *texts) for text in (*texts, _FRESH)]
        return labels[:_MAX_VALUES]
    return _scalars(kind, beside, consts)


def _scalars(kind: Type, beside: list[ir.Expr], consts: list[Any]) -> list[object]:
    if kind.kind == "string":
        texts = [one for one in consts if isinstance(one, str)]
        texts += [one.pattern.strip("^$") for one in beside if isinstance(one, ir.Matches)]
        lengths = {near for one in _lengths(consts) for near in (one, one + 1)}
        is_measured = any(isinstance(one, ir.Call) and one.overload == "string_size" for one in beside)
        return [*texts, *("x" * length for length in sorted(lengths) if is_measured)]
    if kind.kind in ("int", "timestamp"):
        return [near for one in consts if _is_int(one) for near in (one - 1, one + 1, one)]
    if kind.kind == "double":
        numbers = [float(one) for one in consts if isinstance(one, float) or _is_int(one)]
        return [near for one in numbers for near in (one - 1.0, one + 1.0, one) if math.isfinite(near)]
    return []


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _lengths(consts: Iterable[Any]) -> list[int]:
    return [one for one in consts if _is_int(one) and 0 <= one < _MAX_LENGTH]


def _lists(element: Type, beside: list[ir.Expr]) -> list[object]:
    """Lists of one such value, of all of them, and of as many as are asked for."""
    consts = [one.value for one in beside if isinstance(one, ir.Const)]
    items = [*dict.fromkeys(_near(element, beside)), *_PLAIN[element.kind]]
    found: list[object] = [(item,) for item in items]
    found.append(tuple(items))
    if any(isinstance(one, ir.Call) and one.overload == "list_size" for one in beside):
        found += [tuple(items[:1] * length) for one in _lengths(consts) for length in (one, one + 1)]
    return found


def _ids(patterns: Sequence[ResourcePattern] | None, compared: Iterable[object]) -> list[object]:
    """Ids that a rule with these patterns is about; with None any id."""
    texts = [one for one in compared if isinstance(one, str)]
    found: list[object]
    if patterns is None:
        found = [_FRESH_ID, *(one for one in reversed(texts) if _is_id(one))]
        return [*dict.fromkeys(found)][:_MAX_VALUES]
    found = [text for one in patterns[:4] for text in _of_pattern(one)]
    found += [one for one in texts if _is_id(one) and any(pattern.matches(one) for pattern in patterns)]
    return [*dict.fromkeys(found)][:_MAX_VALUES]


def _of_pattern(pattern: ResourcePattern) -> list[object]:
    return [f"{pattern.text}any", f"{pattern.text}1"] if pattern.is_prefix else [pattern.text]


def _is_id(text: str) -> bool:
    return (
        text[:1].isalnum()
        and text.isascii()
        and len(text) <= 100
        and all(one.isalnum() or one in "._@/:-" for one in text)
    )
