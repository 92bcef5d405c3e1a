"""Ids of resources, as far as rules' patterns tell them apart: a partition of all ids into numbered regions.

Every text that stands in a pattern has two regions: the id that is exactly this text, and the ids that begin with it
and with no longer such text. Numbered in order of the tree that the texts form by their beginnings, the ids that a
pattern matches are one interval. So a thousand patterns are a thousand comparisons, and no string is ever looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import z3

from policy_service.analysis.encode.terms import Truth, both, text_value
from policy_service.analysis.encode.values import Text
from policy_service.language.policy import ResourcePattern


class Regions:
    """The regions of one unknown id."""

    def __init__(self, identity: Text, patterns: Iterable[ResourcePattern]) -> None:
        self._identity = identity
        self.region = z3.Int(f"{identity.name} (region)")
        self._texts = sorted({"", *(pattern.text for pattern in patterns)})
        self._first = {text: 2 * place for place, text in enumerate(self._texts)}
        self._last = {text: 2 * self._last_below(place) + 1 for place, text in enumerate(self._texts)}

    def _last_below(self, place: int) -> int:
        """The last text that begins with this one: they follow each other in sorted order."""
        start, last = self._texts[place], place
        while last + 1 < len(self._texts) and self._texts[last + 1].startswith(start):
            last += 1
        return last

    def matches(self, pattern: ResourcePattern) -> Truth:
        """Whether the id is of a pattern."""
        first = self._first[pattern.text]
        if not pattern.is_prefix:
            return self.region == first
        return True if not pattern.text else both(self.region >= first, self.region <= self._last[pattern.text])

    def constraints(self) -> Iterator[Truth]:
        """What regions have to do with the id's number, and with its string where it has become one."""
        yield from (self.region > 0, self.region < 2 * len(self._texts))
        if not self._identity.is_looked_at:
            return
        exact = [text for text in self._texts if text]
        for text in exact:
            yield (self.region == self._first[text]) == self._identity.equals(text)
        for constant in sorted(self._identity.known()):
            yield z3.Implies(self._identity.equals(constant), self.region == self.number(constant))
        if self._identity.is_string:
            for text in exact:
                inside = self.matches(ResourcePattern(text, is_prefix=True))
                yield inside == z3.PrefixOf(text_value(text), self._identity.string)

    def number(self, identity: str) -> int:
        """The region of an id."""
        if identity in self._first and identity:
            return self._first[identity]
        longest = max((text for text in self._texts if identity.startswith(text)), key=len)
        return self._first[longest] + 1

    def example(self, number: int) -> str:
        """The text that a region is named by: the id itself, or what it begins with."""
        return self._texts[number // 2]

    def is_exact(self, number: int) -> bool:
        return number % 2 == 0
