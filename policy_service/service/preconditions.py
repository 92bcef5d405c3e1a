"""Preconditions against lost updates: a write goes ahead only while the fact is what its author last saw.

A *tag* names one state of one fact. It is made of the fact's canonical JSON alone, so that every worker, and the same
worker after a restart, gives the same tag to the same fact. Source: RFC 9110 sections 8.8.3 and 13.1.
"""

from __future__ import annotations

from typing import Final

import msgspec

from policy_service.model.canonical import canonical_text, sha256_hex
from policy_service.model.errors import RequestError
from policy_service.model.facts import Fact, IpAllowlist, Key
from policy_service.service.effects import json_form
from policy_service.service.ports import FactReader

TAG_LENGTH: Final = 32
"""Hexadecimal digits of a tag: 128 bits of SHA-256."""


def fact_tag(fact: Fact) -> str:
    """The tag of a fact as it is. Two facts of one key have the same tag only if they are equal, member by member."""
    return sha256_hex(canonical_text([fact.entity, json_form(fact)]))[:TAG_LENGTH]


class Tags(msgspec.Struct, frozen=True):
    """The tags that a caller named; `is_any` (`*`): any state, as long as the fact is there."""

    names: frozenset[str] = frozenset()
    is_any: bool = False

    def hold(self, tag: str | None) -> bool:
        """Whether the fact with this tag is among them; None: there is no fact."""
        return tag is not None and (self.is_any or tag in self.names)


class Precondition(msgspec.Struct, frozen=True, kw_only=True):
    """What must be so of one fact when a write begins.

    Args:
        only_if: one of these it must be; None: no matter.
        unless: none of these it may be; None: no matter.
    """

    entity: type[Fact]
    key: Key
    only_if: Tags | None = None
    unless: Tags | None = None

    def judge(self, reader: FactReader) -> None:
        """Let the write pass, or stop it.

        It must run on the reader that the write was planned with, under its lock: what it sees cannot change before
        the write is done. And after the plan, which tells whether the caller may know of the fact at all.

        Raises:
            RequestError: 412 `precondition_failed`; details: `current`, the tag of the fact as it is, or None.
        """
        current = self._current(reader)
        tag = None if current is None else fact_tag(current)
        if self.only_if is not None and not self.only_if.hold(tag):
            raise failed("it is not what `If-Match` names; read it again and repeat the change on that", tag)
        if self.unless is not None and self.unless.hold(tag):
            raise failed("it is what `If-None-Match` excludes; read it before you replace it", tag)

    def _current(self, reader: FactReader) -> Fact | None:
        found = reader.get(self.entity, self.key)
        if found is None and self.entity is IpAllowlist:
            # An allowlist that nobody has put yet is there all the same: off and empty.
            return IpAllowlist(workspace=self.key[0])
        return found


def failed(detail: str, tag: str | None) -> RequestError:
    """412, with the tag of the fact as it is."""
    return RequestError("precondition_failed", detail, {"current": tag}, status=412)
