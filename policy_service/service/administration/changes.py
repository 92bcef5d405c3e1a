"""Reading the changes: who changed what, when, from what to what. Never a secret."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from policy_service.model.change_query import ChangeQuery
from policy_service.model.changes import Change
from policy_service.model.errors import RequestError
from policy_service.model.instants import MAX_NS, MIN_NS
from policy_service.service.administration.desk import Desk
from policy_service.service.administration.paging import (
    DEFAULT_LIMIT,
    check_limit,
    decode_cursor,
    encode_cursor,
)
from policy_service.service.caller import Caller
from policy_service.service.checks import check_text
from policy_service.service.results import Page

Order = Literal["oldest", "newest"]

MAX_REVISION: Final = (1 << 63) - 1
_LONGEST: Final = 512
"""Of what is looked for. Subjects are up to three ids, joined by `/`."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which changes somebody asks for; all members that are given must fit.

    Args:
        actor: `key:<id>` or `local:<uid>`.
        action: such as `user.put`; `entity`: the part of it before the dot.
        subject: what the change is about, with or without its workspace in front: `demo/mira` or `mira`.
        since, until: nanoseconds UTC; `since ≤ at < until`.
        after: only later revisions than this one.
    """

    actor: str | None = None
    action: str | None = None
    entity: str | None = None
    subject: str | None = None
    since: int | None = None
    until: int | None = None
    after: int = 0


class ChangeReading(Desk):
    """Show and list changes."""

    def list_changes(
        self,
        caller: Caller,
        workspace: str | None = None,
        *,
        wanted: Wanted | None = None,
        order: Order = "oldest",
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Page[Change]:
        """Changes of one workspace, or (for the operator) of all and of bundles when `workspace` is None.

        `sealed` is taken out of each; its hash stays, so the chain can still be verified. A page may be short, or
        empty, and still go on: how far one page looks is bounded.

        Raises:
            RequestError: 403 `workspace_mismatch`, `operator_only`; 400 `invalid_cursor`, `invalid_limit`,
                `invalid_text` (what is looked for).
        """
        self._enter_feed(caller, workspace)
        wanted = wanted or Wanted()
        size = check_limit(DEFAULT_LIMIT if limit is None else limit)
        kind = f"change-{order}"
        position = _revision(decode_cursor(kind, cursor, 1))
        is_newest = order == "newest"
        head = self._store.head()
        found = self._store.find_changes(
            _query(wanted, workspace),
            newest_first=is_newest,
            after=wanted.after if is_newest or position is None else max(wanted.after, position),
            before=position if is_newest else None,
            limit=size,
        )
        next_cursor = None if found.position is None else encode_cursor(kind, (str(found.position),))
        return Page(items=tuple(map(_unsealed, found.changes)), next_cursor=next_cursor, revision=head)

    def get_change(self, caller: Caller, workspace: str | None, revision: int) -> tuple[Change, int]:
        """One change, without what is sealed, and the store's head.

        Raises:
            RequestError: 403 `workspace_mismatch`, `operator_only`; 404 `not_found`, also where it is another
                workspace's.
        """
        self._enter_feed(caller, workspace)
        head = self._store.head()
        query = ChangeQuery(workspace=workspace)
        found = self._store.find_changes(query, after=max(revision, 1) - 1, limit=1).changes
        if not found or found[0].revision != revision:
            raise RequestError("not_found", f"there is no change `{revision}` here", status=404)
        return _unsealed(found[0]), head

    def _enter_feed(self, caller: Caller, workspace: str | None) -> None:
        if workspace is None:
            self._operator_only(caller, "the changes of all workspaces")
        else:
            self._enter(caller, workspace)


def _query(wanted: Wanted, workspace: str | None) -> ChangeQuery:
    for name in ("actor", "action", "entity", "subject"):
        text = getattr(wanted, name)
        if text is not None:
            check_text(f"`{name}`", text, _LONGEST)
    return ChangeQuery(
        workspace=workspace,
        actor=wanted.actor,
        action=wanted.action,
        entity=wanted.entity,
        subjects=None if wanted.subject is None else _subjects(wanted.subject, workspace),
        since=None if wanted.since is None else max(wanted.since, MIN_NS),
        until=None if wanted.until is None else min(wanted.until, MAX_NS),
    )


def _subjects(subject: str, workspace: str | None) -> tuple[str, ...]:
    """A tenant need not say whose: it sees its own alone."""
    return (subject,) if workspace is None else (subject, f"{workspace}/{subject}")


def _unsealed(change: Change) -> Change:
    return msgspec.structs.replace(change, sealed=None)


def _revision(key: tuple[str, ...] | None) -> int | None:
    if key is None:
        return None
    if not (key[0].isascii() and key[0].isdigit() and int(key[0][:20]) <= MAX_REVISION):
        raise RequestError("invalid_cursor", "`cursor` is not one that this list returned; start without it")
    return int(key[0])
