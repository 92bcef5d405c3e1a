"""Reading the changes: who changed what, when. Never a secret."""

from __future__ import annotations

from typing import Final

import msgspec

from policy_service.model.changes import Change
from policy_service.model.errors import RequestError
from policy_service.service.administration.desk import Desk
from policy_service.service.administration.paging import (
    DEFAULT_LIMIT,
    check_limit,
    decode_cursor,
    encode_cursor,
)
from policy_service.service.callers import Caller
from policy_service.service.results import Page

_BATCH: Final = 500
_MAX_SCANNED: Final = 10_000
"""How far one page looks for changes of its workspace; a page may be short, or empty, and still go on."""


class ChangeReading(Desk):
    """List changes in revision order."""

    def list_changes(
        self,
        caller: Caller,
        workspace: str | None = None,
        *,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Page[Change]:
        """Changes of one workspace, or (for the operator) of all and of bundles when `workspace` is None.

        `sealed` is taken out of each; its hash stays, so the chain can still be verified.

        Raises:
            RequestError: 403 `workspace_mismatch`, `operator_only`; 400 `invalid_cursor`, `invalid_limit`.
        """
        if workspace is None:
            self._operator_only(caller, "the changes of all workspaces")
        else:
            self._enter(caller, workspace)
        size = check_limit(DEFAULT_LIMIT if limit is None else limit)
        after = _revision(decode_cursor("change", cursor, 1))
        head = self._store.head()
        items, last = self._scan(workspace, after, head, size)
        more = last < head
        next_cursor = encode_cursor("change", (str(last),)) if more else None
        return Page(items=tuple(items), next_cursor=next_cursor, revision=head)

    def _scan(self, workspace: str | None, after: int, head: int, size: int) -> tuple[list[Change], int]:
        """Up to `size` fitting changes past `after`, and the last revision looked at."""
        items: list[Change] = []
        last, stop = after, after + _MAX_SCANNED
        while last < min(head, stop):
            batch = self._store.changes_after(last, _BATCH)
            if not batch:
                break
            for change in batch:
                last = change.revision
                if workspace is None or change.workspace == workspace:
                    items.append(msgspec.structs.replace(change, sealed=None))
                if len(items) == size:
                    return items, last
        return items, last


def _revision(key: tuple[str, ...] | None) -> int:
    if key is None:
        return 0
    if not (key[0].isascii() and key[0].isdigit() and len(key[0]) < 20):
        raise RequestError("invalid_cursor", "`cursor` is not one that this list returned; start without it")
    return int(key[0])
