"""Options that say which records are meant, and how a record looks in a table."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from policy_service.cli.administration.changes import Since, Until, read_time
from policy_service.cli.shared.nouns import to_the_second
from policy_service.ledger.codec import encode_record
from policy_service.ledger.query import Wanted
from policy_service.ledger.record import DecisionRecord
from policy_service.model.errors import UsageError
from policy_service.model.instants import MAX_NS, MIN_NS, format_rfc3339, parse_rfc3339

__all__ = ["Caller", "Decision", "Key", "Principal", "Reason", "Resource", "Rule", "Scope", "Since", "Until"]

Key = Annotated[str | None, typer.Option("--key", metavar="ID", help="Public id of the key that was shown.")]
Principal = Annotated[str | None, typer.Option("--principal", metavar="KIND:ID", help="Who it acts as: user:mira.")]
Scope = Annotated[str | None, typer.Option("--scope", metavar="SCOPE", help="Asked for.")]
Resource = Annotated[str | None, typer.Option("--resource", metavar="TYPE[:ID]", help="Asked for.")]
Decision = Annotated[str | None, typer.Option("--decision", metavar="allow|deny", help="What was decided.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="CODE", help="Why.")]
Rule = Annotated[str | None, typer.Option("--rule", metavar="NAME", help="The rule or condition that denied.")]
Caller = Annotated[str | None, typer.Option("--caller", metavar="WHO", help="Who asked: key:<id>, or its id.")]

COLUMNS: Final = ("decided at", "decision", "reason", "rule", "key", "acts as", "scope", "resource", "workspace", "id")


def wanted_of(now: int, since: str | None, until: str | None, **members: Any) -> Wanted:
    """What the options ask for.

    Raises:
        UsageError: an instant is none; the decision is neither.
    """
    if members.get("decision") not in (None, "allow", "deny"):
        raise UsageError("usage", f"`--decision {members['decision']}` must be allow or deny")
    return Wanted(since=_instant(since, now, "--since"), until=_instant(until, now, "--until"), **members)


def _instant(text: str | None, now: int, option: str) -> int | None:
    read = read_time(text, now, option)
    return None if read is None else parse_rfc3339(read)


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
