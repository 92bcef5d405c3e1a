"""Which records somebody looks for: one meaning of it, for the command, the API and revocations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from policy_service.ledger.codec import decode_record
from policy_service.ledger.record import DecisionRecord


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A record fits if it fits every member that is given.

    Args:
        since, until: nanoseconds UTC; `since ≤ at < until`.
        key: public id of the verified key. principal: `kind:id`. resource: `type:id`, or a type alone.
        caller: who asked, as `key:<id>`, `local:<uid>`, or the id of its key.
    """

    since: int | None = None
    until: int | None = None
    workspace: str | None = None
    key: str | None = None
    principal: str | None = None
    scope: str | None = None
    resource: str | None = None
    decision: Literal["allow", "deny"] | None = None
    reason: str | None = None
    rule: str | None = None
    caller: str | None = None

    def fits(self, record: DecisionRecord) -> bool:
        """Whether a record is looked for."""
        at, asked = int(record.at), record.request
        return (
            (self.since is None or self.since <= at)
            and (self.until is None or at < self.until)
            and self.workspace in (None, record.workspace)
            and self.key in (None, asked.credential.key_id)
            and self.principal in (None, _principal(record))
            and self.scope in (None, asked.scope)
            and self.resource in (None, asked.resource.type, f"{asked.resource.type}:{asked.resource.id}")
            and self.decision in (None, record.decision)
            and self.reason in (None, record.reason)
            and self.rule in (None, record.rule)
            and self.caller in (None, record.caller.actor, record.caller.key_id)
        )

    def needles(self) -> tuple[bytes, ...]:
        """Texts that stand in the line of every record that fits: a line without one of them need not be decoded."""
        members = {
            "workspace": self.workspace,
            "key_id": self.key,
            "scope": self.scope,
            "decision": self.decision,
            "reason": self.reason,
            "rule": self.rule,
        }
        found = [b'"%s":%s' % (name.encode(), _text(value)) for name, value in members.items() if value is not None]
        if self.principal is not None:
            kind, _, name = self.principal.partition(":")
            found.append(b'{"id":%s,"kind":%s}' % (_text(name), _text(kind)))
        if self.resource is not None:
            found.append(b'"type":%s' % _text(self.resource.partition(":")[0]))
        return tuple(found)


def finder(wanted: Wanted) -> Callable[[bytes], DecisionRecord | None]:
    """What gives the record of a line where it is looked for; None for others, and for lines that are no records.

    Cost: 0.2 µs a line that lacks something looked for, 3 µs others.
    """
    needles = wanted.needles()

    def find(line: bytes) -> DecisionRecord | None:
        for needle in needles:
            if needle not in line:
                return None
        record = decode_record(line, is_checked=False)
        return record if isinstance(record, DecisionRecord) and _fits(wanted, record) else None

    return find


def _fits(wanted: Wanted, record: DecisionRecord) -> bool:
    try:
        return wanted.fits(record)
    except ValueError:  # its `at` is no number: nobody wrote it so
        return False


def _principal(record: DecisionRecord) -> str | None:
    return None if record.principal is None else f"{record.principal.kind}:{record.principal.id}"


def _text(value: str) -> bytes:
    return msgspec.json.encode(value)
