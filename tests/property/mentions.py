"""What conditions mention, by what they compare it with: where one value more or less makes the difference."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from policy_service.analysis.encode.chain import declared_types
from policy_service.language import ir
from policy_service.language.policy import ConditionCheck, Policy
from policy_service.model.address import LAST_POINT, Network, address_text
from policy_service.model.instants import MAX_NS, MIN_NS

_INT_ENDS: Final = (-(2**63), 2**63 - 1)
_MAPPED: Final = range((1 << 32) + (0xFFFF << 32), (1 << 32) + (0x10000 << 32))
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@/:-]{0,127}")
_SAMPLES: Final = (
    (r"\[0-9\]|\\d", "7"),
    (r"\[a-z\]|\\w", "k"),
    (r"(\[\^[^\]]*\]|\.)", "~"),
    (r"[*+?]|\{[0-9,]*\}|[\^$()]", ""),
)
"""Pieces of patterns, and a text that they match. Good for what the pools hold; a miss is one more odd text."""


class Mentions(msgspec.Struct, frozen=True):
    """Constants by the path that they are compared with, and the networks that addresses are looked up in."""

    constants: dict[str, set[Any]]
    networks: set[Network]

    def texts(self, path: str) -> list[str]:
        """Texts for a path, most of them just right or just not."""
        found = {one for one in self.constants.get(path, ()) if isinstance(one, str)}
        return sorted({*found, *(one[:-1] for one in found), *(one + "x" for one in found), *_ODD_TEXTS})

    def ints(self, path: str) -> list[int]:
        found = {one for one in self.constants.get(path, ()) if type(one) is int}
        around = {one + step for one in found for step in (-1, 0, 1)} | {0, 1, -1, *_INT_ENDS}
        return sorted(one for one in around if _INT_ENDS[0] <= one <= _INT_ENDS[1])

    def doubles(self, path: str) -> list[float]:
        found = {float(one) for one in self.constants.get(path, ()) if type(one) in (int, float)}
        return sorted({one + step for one in found for step in (-0.5, 0.0, 0.5)} | {0.0, -0.0, 1e308, 5e-324})

    def instants(self) -> list[int]:
        """Every instant that is mentioned, a nanosecond before it, one after it."""
        found = {one for ones in self.constants.values() for one in ones if type(one) is int and abs(one) > 10**15}
        around = {one + step for one in found for step in (-1, 0, 1)} | {MIN_NS, MAX_NS}
        return sorted(one for one in around if MIN_NS <= one <= MAX_NS)

    def addresses(self, more: Iterable[Network] = ()) -> list[str]:
        """The ends of every network, and what lies just outside."""
        points = {0, LAST_POINT, (1 << 32) - 1, 1 << 32}
        for one in {*self.networks, *more}:
            points |= {one.first, one.last, one.first - 1, one.last + 1}
        return sorted(address_text(one) for one in points if 0 <= one <= LAST_POINT and one not in _MAPPED)


_ODD_TEXTS: Final = ("", "other", "Ünï", "\U0001f600", "\U0003fffd", "a" * 120, "\\u{61}", "\n")


def mentioned(policy: Policy, statements: Iterable[ir.Condition]) -> Mentions:
    """By rules, condition checks and statements."""
    rules = [rule for resource in policy.resources.values() for rule in resource.rules]
    checks = [check for check in policy.chain if isinstance(check, ConditionCheck)]
    several = [rule.condition for rule in rules] + [one for check in checks for one in (check.when, check.require)]
    found = Mentions({}, {network for networks in policy.networks.values() for network in networks})
    for condition in (*several, *statements):
        for node in ir.walk(condition.expr) if condition else ():
            _note(node, found)
    return found


def _note(node: ir.Expr, found: Mentions) -> None:
    """Of one node: constants belong to the paths that stand beside them, as close as may be."""
    if isinstance(node, ir.InNetworks):
        found.networks.update(node.networks)
    elif isinstance(node, ir.HasEntry):
        found.constants.setdefault("key.labels", set()).add(node.key)
    elif isinstance(node, ir.Call | ir.Matches | ir.Quantifier | ir.Transform):
        below = list(ir.walk(node))
        values = {one.value for one in below if isinstance(one, ir.Const)}
        values |= {_sample(one.pattern) for one in below if isinstance(one, ir.Matches)}
        for path in {one.path for one in below if isinstance(one, ir.Read)}:
            found.constants.setdefault(path, set()).update(values)


def _sample(pattern: str) -> str:
    """A text that simple patterns match."""
    for piece, text in _SAMPLES:
        pattern = re.sub(piece, lambda _, text=text: text, pattern)
    return pattern


def ids_of(policy: Policy, type_: str) -> list[str]:
    """Ids at the edges of the patterns of a type's rules, exactly it, a bit more, a bit less; and a few others."""
    resource = policy.resources.get(type_)
    texts = {one.text for rule in (resource.rules if resource else ()) for one in rule.patterns or ()} - {""}
    edges = {edge for text in texts for edge in (text, text + "x", text + "-1", text[:-1])}
    return sorted({one for one in edges if _ID.fullmatch(one)} | {f"r{number}" for number in range(1, 7)})


def types_of(policy: Policy) -> list[str]:
    """Every declared type, and one that is not."""
    return [*sorted(declared_types(policy)), "unheard-of"]
