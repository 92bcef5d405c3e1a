"""`/v1/decisions`: what was decided, newest first, as the ledger has it."""

from __future__ import annotations

from typing import Any, Final, Literal, cast

import msgspec

from policy_service.api.endpoints import Call, Outcome
from policy_service.api.v1_changes import instant_of, one_of
from policy_service.ledger.query import Wanted
from policy_service.ledger.record import DecisionRecord
from policy_service.model.errors import RequestError

FILTERS: Final = (
    "since",
    "until",
    "key",
    "principal",
    "scope",
    "resource",
    "decision",
    "reason",
    "rule",
    "caller",
)
_DECISIONS: Final = ("allow", "deny")
_LONGEST: Final = 512


def list_decisions(call: Call) -> Outcome:
    """Of one workspace: the reader's own, or the one that an operator names."""
    page = call.decision_log.page(call.caller, call.workspace, _wanted(call.query), **call.paging())
    return Outcome([record_document(record) for record in page.items], page.revision, page.next_cursor)


def record_document(record: DecisionRecord) -> dict[str, Any]:
    """A record with the members of its line: its canonical JSON is that line."""
    document: dict[str, Any] = msgspec.to_builtins(record)
    return document


def _wanted(query: dict[str, str]) -> Wanted:
    for name in FILTERS:
        if len(query.get(name, "")) > _LONGEST:
            raise RequestError("invalid_parameter", f"`?{name}`: must have at most {_LONGEST} characters")
    return Wanted(
        since=instant_of("since", query.get("since")),
        until=instant_of("until", query.get("until")),
        key=query.get("key"),
        principal=query.get("principal"),
        scope=query.get("scope"),
        resource=query.get("resource"),
        decision=cast("Literal['allow', 'deny'] | None", one_of("decision", query.get("decision"), _DECISIONS)),
        reason=query.get("reason"),
        rule=query.get("rule"),
        caller=query.get("caller"),
    )
