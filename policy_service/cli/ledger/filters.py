"""Options that say which records are meant, and how a record looks in a table."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
import typer

from policy_service.cli.shared.grouped import Group
from policy_service.cli.shared.nouns import to_the_second
from policy_service.cli.shared.options import Workspace
from policy_service.cli.shared.period import Period
from policy_service.ledger.codec import encode_record
from policy_service.ledger.query import Wanted
from policy_service.ledger.record import DecisionRecord
from policy_service.model.errors import UsageError
from policy_service.model.instants import MAX_NS, MIN_NS, format_rfc3339

Key = Annotated[str | None, typer.Option("--key", metavar="ID", help="Public id of the key that was shown.")]
Principal = Annotated[str | None, typer.Option("--principal", metavar="KIND:ID", help="Who it acts as: user:mira.")]
Scope = Annotated[str | None, typer.Option("--scope", metavar="SCOPE", help="Asked for.")]
Resource = Annotated[str | None, typer.Option("--resource", metavar="TYPE[:ID]", help="Asked for.")]
Decision = Annotated[str | None, typer.Option("--decision", metavar="allow|deny", help="What was decided.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="CODE", help="Why.")]
Rule = Annotated[str | None, typer.Option("--rule", metavar="NAME", help="The rule or condition that denied.")]
Caller = Annotated[str | None, typer.Option("--caller", metavar="WHO", help="Who asked: key:<id>, or its id.")]

COLUMNS: Final = ("decided at", "decision", "reason", "rule", "key", "acts as", "scope", "resource", "workspace", "id")


class Filters(Group, frozen=True):
    """Members that a record must have. All that are given must fit."""

    workspace: Workspace = None
    key: Key = None
    principal: Principal = None
    scope: Scope = None
    resource: Resource = None
    decision: Decision = None
    reason: Reason = None
    rule: Rule = None
    caller: Caller = None

    def wanted(self, now: int, period: Period | None = None) -> Wanted:
        """What the options ask for.

        Raises:
            UsageError: an instant is none; the decision is neither.
        """
        if self.decision not in (None, "allow", "deny"):
            raise UsageError("usage", f"`--decision {self.decision}` must be allow or deny")
        since, until = (period or Period()).instants(now)
        members: dict[str, Any] = msgspec.structs.asdict(self)
        return Wanted(since=since, until=until, **members)


def row(record: DecisionRecord) -> tuple[Any, ...]:
    """A record in a table."""
    asked, principal = record.request, record.principal
    shown = asked.credential
    return (
        to_the_second(decided_at(record)),
        record.decision,
        record.reason,
        record.rule,
        shown.key_id or shown.outcome,
        None if principal is None else f"{principal.kind} {principal.id}",
        asked.scope,
        f"{asked.resource.type}:{asked.resource.id}",
        record.workspace,
        record.id,
    )


def decided_at(record: DecisionRecord) -> str:
    """When, as RFC 3339; as recorded where that is no instant."""
    try:
        at = int(record.at)
    except ValueError:
        return record.at
    return format_rfc3339(at) if MIN_NS <= at <= MAX_NS else record.at


def line_of(record: DecisionRecord) -> str:
    """A record as its line has it, for a program."""
    return encode_record(record).decode()
