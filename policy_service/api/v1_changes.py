"""`/v1/changes`: the administrator's audit trail."""

from __future__ import annotations

from typing import Any, Final, cast

from policy_service.api.documents import change_document
from policy_service.api.endpoints import Call, Outcome, listed
from policy_service.model.errors import RequestError
from policy_service.model.facts import ENTITIES
from policy_service.model.instants import parse_rfc3339
from policy_service.service.administration.changes import MAX_REVISION, Order, Wanted

FILTERS: Final = ("actor", "action", "entity", "subject", "since", "until", "after", "order")
_ORDERS: Final = ("oldest", "newest")


def list_changes(call: Call) -> Outcome:
    """Of one workspace; of all, and of bundles, for an operator who names none."""
    query = call.query
    wanted = Wanted(
        actor=query.get("actor"),
        action=query.get("action"),
        entity=one_of("entity", query.get("entity"), ENTITIES),
        subject=query.get("subject"),
        since=instant_of("since", query.get("since")),
        until=instant_of("until", query.get("until")),
        after=_revision("`?after`", query.get("after", "0")),
    )
    order = cast("Order", one_of("order", query.get("order", "oldest"), _ORDERS))
    result = call.administration.list_changes(
        call.caller, _workspace(call), wanted=wanted, order=order, **call.paging()
    )
    return listed(result, change_document)


def show_change(call: Call) -> Outcome:
    """One's own workspace's, or any for the operator."""
    revision = _revision("a revision", call.path["revision"])
    change, head = call.administration.get_change(call.caller, _workspace(call), revision)
    return Outcome(change_document(change), head)


def _workspace(call: Call) -> str | None:
    return call.named if call.caller.is_operator else call.workspace


def one_of(name: str, value: str | None, known: Any) -> str | None:
    """A query parameter that is one of few words. Raises RequestError 400 `invalid_parameter`."""
    if value is not None and value not in known:
        raise RequestError("invalid_parameter", f"`?{name}`: must be one of {', '.join(f'`{k}`' for k in known)}")
    return value


def instant_of(name: str, text: str | None) -> int | None:
    """A query parameter that is an instant. Raises RequestError 400 `invalid_parameter`."""
    # `+` in a query is a space to whoever decodes forms: `2027-01-01T00:00:00+01:00` was meant.
    instant = None if text is None else parse_rfc3339(text.replace(" ", "+"))
    if text is not None and instant is None:
        raise RequestError("invalid_parameter", f"`?{name}`: must be an instant such as `2027-01-01T00:00:00Z`")
    return instant


def _revision(what: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:20]) <= MAX_REVISION):
        raise RequestError("invalid_parameter", f"{what}: must be a whole number, such as the `revision` of an answer")
    return int(text)
