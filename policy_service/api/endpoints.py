"""What an administrative route is: one row of a table, and a small function that does its work in a thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from pydantic import BaseModel

from policy_service.api.documents import fact_document
from policy_service.api.incoming import BODY_LIMIT, read_flag, read_number
from policy_service.api.json_reader import Exempt
from policy_service.model.facts import Fact
from policy_service.model.names import ADMIN_ORGANIZATION, KEYS_OWN
from policy_service.service.administration import Administration, Found, Page, Written
from policy_service.service.auditing.decision_log import DecisionLog
from policy_service.service.caller import Caller
from policy_service.service.deciding.shadow import Shadow
from policy_service.service.policies.bundles import Bundles
from policy_service.service.preconditions import fact_tag

LISTING: Final = ("limit", "cursor")
FORCE: Final = ("force",)
"""Taken by every change that could end its author's own access."""
KEY_KEEPERS: Final = (ADMIN_ORGANIZATION, KEYS_OWN)
"""Who may look after keys: an administrator after all, anybody with the second after their own."""


class Call(msgspec.Struct, frozen=True):
    """One call of an administrative route: everything is read and judged but the facts.

    Args:
        workspace: the one it is about: named by an operator, else the caller's own.
        named: the workspace that the query names; None where it names none.
        revision: what this worker has seen.
        body: an instance of the endpoint's model; None where it takes none.
    """

    administration: Administration
    bundles: Bundles
    decision_log: DecisionLog
    caller: Caller
    workspace: str
    named: str | None
    path: dict[str, str]
    query: dict[str, str]
    body: Any = None
    shadow: Shadow | None = None
    revision: int = 0

    def paging(self) -> dict[str, Any]:
        """The arguments that every list takes."""
        return {"cursor": self.query.get("cursor"), "limit": read_number(self.query, "limit")}

    def force(self) -> bool:
        """Whether the change is meant even if it ends the caller's own access."""
        return read_flag(self.query, "force")


class Outcome(msgspec.Struct, frozen=True):
    """What a call came to.

    Args:
        changed: it was a write, whose revision this worker must see before it answers.
        tag: names the state of the one fact that `data` is; None where `data` is no single fact.
    """

    data: Any
    revision: int
    next_cursor: str | None = None
    created: bool = False
    changed: bool = False
    tag: str | None = None


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One administrative route.

    Args:
        query: the parameters it takes besides `workspace`.
        statuses: of success, the usual one first.
        problems: what else it answers than every route does.
        exempt: member paths of the body whose text may hold control characters, such as line ends.
        limit: bytes that its body may have.
        is_slow: it compiles: it gets a thread of its own, so that no other change waits for it.
        subject: the kind of the one fact that the path names, for `ETag` and `If-Match`; None: it names none.
    """

    method: str
    path: str
    name: str
    tag: str
    summary: str
    work: Callable[[Call], Outcome]
    data: Any
    body: type[BaseModel] | None = None
    body_required: bool = True
    query: tuple[str, ...] = ()
    scope: str | tuple[str, ...] = ADMIN_ORGANIZATION
    statuses: tuple[int, ...] = (200,)
    problems: tuple[int, ...] = ()
    takes_workspace: bool = True
    subject: type[Fact] | None = None
    exempt: Exempt = frozenset()
    limit: int = BODY_LIMIT
    is_slow: bool = False

    def parameters(self) -> tuple[str, ...]:
        """Every query parameter that the route knows."""
        return (*self.query, "workspace") if self.takes_workspace else self.query


def written(result: Written[Any]) -> Outcome:
    """The outcome of a write; `data` is null after a deletion."""
    data = None if result.fact is None else fact_document(result.fact)
    return Outcome(data, result.revision, created=result.created, changed=True, tag=_tag(result.fact))


def found(result: Found[Any]) -> Outcome:
    """The outcome of a look at one fact."""
    return Outcome(fact_document(result.fact), result.revision, tag=_tag(result.fact))


def _tag(fact: Fact | None) -> str | None:
    return None if fact is None else fact_tag(fact)


def listed(result: Page[Any], document: Callable[[Any], Any] = fact_document) -> Outcome:
    """The outcome of a look at a list."""
    return Outcome([document(item) for item in result.items], result.revision, result.next_cursor)
