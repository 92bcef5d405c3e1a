"""Reading the decisions of a workspace: what was decided, newest first, page by page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from policy_service.ledger.browsing import Bookmark, Browser, Place
from policy_service.ledger.layout import contents
from policy_service.ledger.query import Wanted, finder
from policy_service.ledger.record import DecisionRecord
from policy_service.model.errors import RequestError
from policy_service.model.facts import LedgerShard
from policy_service.model.instants import NS_PER_S
from policy_service.service.administration.paging import (
    DEFAULT_LIMIT,
    check_limit,
    decode_cursor,
    encode_cursor,
)
from policy_service.service.caller import Caller, target_workspace
from policy_service.service.ports import FactStore
from policy_service.service.results import Page

SCANNED: Final = 64 << 20
"""Bytes of records that one page looks at, at most; where it ends early, its cursor goes on."""
ANSWERED: Final = 4 << 20
"""Bytes of records that one page holds, at most, and one record more."""

_DISORDER_NS: Final = 60 * NS_PER_S
"""Lines of a shard are in the order of their writing; a clock that was set back disturbs that of their instants."""
_KIND: Final = "decision"
_LONGEST_CURSOR: Final = 16 * 1024
_PLACE: Final = re.compile(r"(\d{8}T\d{6}-[0-9A-Za-z]{8})\.(\d{1,12})\.(\d{1,15})", re.ASCII)
_NEWEST: Final = re.compile(r"(\d{8}T\d{6}-[0-9A-Za-z]{8})?", re.ASCII)


class DecisionLog:
    """The records of the shards in this data directory.

    Args:
        folder: of the ledger; there need not be one.
    """

    def __init__(self, folder: Path, store: FactStore) -> None:
        self._folder = folder
        self._store = store

    def page(
        self, caller: Caller, workspace: str, wanted: Wanted, *, cursor: str | None = None, limit: int | None = None
    ) -> Page[DecisionRecord]:
        """Records of one workspace, newest first. Records that come later do not move what a cursor continues.

        A page may be short, or empty, and still go on: how much one page looks at is bounded.

        Raises:
            RequestError: 403 `workspace_mismatch`; 400 `invalid_limit`, `invalid_cursor`.
            StoreError: `ledger_unreadable`.
        """
        target_workspace(caller, workspace)
        size = check_limit(DEFAULT_LIMIT if limit is None else limit)
        start = _bookmark(cursor)
        revision = self._store.head()
        browser = self._browser(wanted, start)
        # INVARIANT: nobody reads another workspace's records (test_nobody_reads_records_of_another_workspace).
        records = _page(browser, msgspec.structs.replace(wanted, workspace=workspace), size)
        mark = browser.bookmark()
        is_past = mark is not None and wanted.since is not None and mark.reached < wanted.since - _DISORDER_NS
        next_cursor = None if mark is None or is_past else _cursor(mark)
        return Page(items=records, next_cursor=next_cursor, revision=revision)

    def _browser(self, wanted: Wanted, start: Bookmark | None) -> Browser:
        """Over the shards that can hold what is wanted: their times are known without a look into them."""
        shards = self._store.read(lambda reader: reader.find(LedgerShard))
        ends = {shard.id: shard.closed_at for shard in shards if shard.closed_at is not None}
        latest = None if wanted.until is None else wanted.until + _DISORDER_NS
        late = {shard.id for shard in shards if latest is not None and shard.opened_at > latest}
        there = {shard: segments for shard, segments in contents(self._folder).items() if shard not in late}
        return Browser(there, ends, start)


def _page(browser: Browser, wanted: Wanted, size: int) -> tuple[DecisionRecord, ...]:
    find, found, scanned, answered = finder(wanted), [], 0, 0
    for seen in browser:
        scanned += len(seen.text)
        record = find(seen.text)
        if record is not None:
            answered += len(seen.text)
            found.append(record)
        is_past = wanted.since is not None and seen.at < wanted.since - _DISORDER_NS
        if len(found) >= size or scanned >= SCANNED or answered >= ANSWERED or is_past:
            break
    return tuple(found)


def _cursor(mark: Bookmark) -> str:
    places = ",".join(f"{shard}.{place.number}.{place.offset}" for shard, place in sorted(mark.places.items()))
    return encode_cursor(_KIND, (str(mark.reached), mark.newest, places))


def _bookmark(cursor: str | None) -> Bookmark | None:
    key = decode_cursor(_KIND, cursor, 3, _LONGEST_CURSOR)
    if key is None:
        return None
    reached, newest, places = key
    matches = [_PLACE.fullmatch(place) for place in places.split(",") if places]
    is_number = reached.isascii() and reached.isdigit() and len(reached) <= 19
    if not is_number or not _NEWEST.fullmatch(newest) or None in matches:
        raise RequestError("invalid_cursor", "`cursor` is not one that this list returned; start without it")
    found = {match[1]: Place(int(match[2]), int(match[3])) for match in matches if match}
    return Bookmark(int(reached), newest, found)
