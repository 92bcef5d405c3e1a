"""Finding changes by who, what and when, at a bounded cost however many there are.

Each filter has an index that ends with the revision. The one that fits the fewest changes leads: its changes are walked
in revision order, at most `WINDOW` of them a page, and the other filters are held against those. So a page costs some
milliseconds even where a million changes fit one filter and none fits all; such a page is short, and says where to go
on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, Subquery, and_, func, select, union_all

from policy_service.model.change_query import ChangeQuery, ChangesFound
from policy_service.store.rows import change_of
from policy_service.store.tables import CHANGES

WINDOW: Final = 4000
"""How many changes one page looks at, at most."""
DISORDER: Final = 1000
"""Clocks are set back now and then. A time finds its place among the revisions by the `DISORDER` changes next to it in
time: unless a clock was wrong for longer than that many changes, none is missed. Never is one found that does not fit."""

_C: Final = CHANGES.c
_LIGHT: Final = (_C.revision, _C.at, _C.workspace, _C.actor, _C.action, _C.subject)
Filters = dict[str, list[str]]
"""Of a column, the values it may have."""


def find_changes(
    connection: Connection,
    query: ChangeQuery,
    *,
    after: int,
    before: int | None,
    newest_first: bool,
    limit: int,
    window: int = WINDOW,
) -> ChangesFound:
    """Up to `limit` changes that fit, of the revisions between `after` and `before`, both excluded.

    Cost: `window` index entries and rows, whatever is asked for.
    """
    ends = _ends(connection, query, after, before)
    filters = _filters(connection, query)
    if ends is None or not all(filters.values()):
        return ChangesFound(changes=(), position=None)
    looked_at = _window(filters, _leader(connection, filters, ends, window), ends, newest_first, window)
    fitting = _fitting(connection, looked_at, query, filters, newest_first, limit + 1)
    shown = fitting[:limit]
    position = shown[-1] if len(fitting) > limit else _end_of(connection, looked_at, newest_first, window)
    return ChangesFound(changes=_whole(connection, shown, newest_first), position=position)


def _ends(connection: Connection, query: ChangeQuery, after: int, before: int | None) -> tuple[int, int | None] | None:
    """The revisions between which all that fits lies; None: nothing does."""
    if query.since is not None:
        near = select(_C.revision).where(_C.at >= query.since).order_by(_C.at, _C.revision).limit(DISORDER).subquery()
        first = connection.scalar(select(func.min(near.c.revision)))
        if first is None:
            return None
        after = max(after, first - 1)
    if query.until is not None:
        late = (_C.at.desc(), _C.revision.desc())
        near = select(_C.revision).where(_C.at < query.until).order_by(*late).limit(DISORDER).subquery()
        last = connection.scalar(select(func.max(near.c.revision)))
        if last is None:
            return None
        before = last + 1 if before is None else min(before, last + 1)
    return after, before


def _filters(connection: Connection, query: ChangeQuery) -> Filters:
    filters: Filters = {}
    if query.subjects is not None:
        filters["subject"] = list(dict.fromkeys(query.subjects))
    if query.actor is not None:
        filters["actor"] = [query.actor]
    if query.workspace is not None:
        filters["workspace"] = [query.workspace]
    if query.action is not None or query.entity is not None:
        filters["action"] = _actions(connection, query)
    return filters


def _actions(connection: Connection, query: ChangeQuery) -> list[str]:
    """The actions asked for. Those on an entity are few: each is found by one step in the index."""
    if query.action is not None:
        return [query.action] if query.entity in (None, query.action.partition(".")[0]) else []
    found: list[str] = []
    last, past = f"{query.entity}.", f"{query.entity}/"  # `/` is the character after `.`
    while True:
        step = select(func.min(_C.action)).where(_C.action > last, _C.action < past)
        action = connection.scalar(step)
        if action is None:
            return found
        found.append(action)
        last = action


def _leader(connection: Connection, filters: Filters, ends: tuple[int, int | None], window: int) -> str | None:
    """The filter that fits the fewest changes, as far as counting up to `window` can tell."""
    if len(filters) < 2:
        return next(iter(filters), None)
    counts = {
        name: connection.scalar(
            select(func.count()).select_from(_branches((_C.revision,), filters, name, ends, window))
        )
        for name in filters
    }
    return min(counts, key=lambda name: counts[name] or 0)


def _window(
    filters: Filters, leader: str | None, ends: tuple[int, int | None], newest_first: bool, window: int
) -> Subquery:
    """The changes that a page looks at: the first `window` that fit the leading filter."""
    branches = _branches(_LIGHT, filters, leader, ends, window, newest_first)
    return select(branches).order_by(_in_order(branches.c.revision, newest_first)).limit(window).subquery()


def _branches(
    columns: Iterable[ColumnElement[Any]],
    filters: Filters,
    name: str | None,
    ends: tuple[int, int | None],
    window: int,
    newest_first: bool = False,
) -> Subquery:
    """Of each value of a filter the first `window` changes: no index gives several values in revision order."""
    after, before = ends
    between = _C.revision > after if before is None else and_(_C.revision > after, _C.revision < before)
    one = select(*columns).where(between).order_by(_in_order(_C.revision, newest_first)).limit(window)
    if name is None:
        return one.subquery()
    return union_all(*(select(one.where(_C[name] == value).subquery()) for value in filters[name])).subquery()


def _fitting(
    connection: Connection, looked_at: Subquery, query: ChangeQuery, filters: Filters, newest_first: bool, limit: int
) -> list[int]:
    column = looked_at.c
    wanted: Select[tuple[int]] = select(column.revision)
    for name, values in filters.items():
        wanted = wanted.where(column[name].in_(values))
    if query.since is not None:
        wanted = wanted.where(column.at >= query.since)
    if query.until is not None:
        wanted = wanted.where(column.at < query.until)
    return list(connection.scalars(wanted.order_by(_in_order(column.revision, newest_first)).limit(limit)))


def _end_of(connection: Connection, looked_at: Subquery, newest_first: bool, window: int) -> int | None:
    """The last revision looked at where there may be more; None where the window held all."""
    last = (func.min if newest_first else func.max)(looked_at.c.revision)
    row = connection.execute(select(func.count(), last).select_from(looked_at)).one()
    return None if row[0] < window else row[1]


def _whole(connection: Connection, revisions: list[int], newest_first: bool) -> tuple[Any, ...]:
    order = _in_order(_C.revision, newest_first)
    rows = connection.execute(select(CHANGES).where(_C.revision.in_(revisions)).order_by(order)).mappings()
    return tuple(change_of(row) for row in rows)


def _in_order(revision: ColumnElement[int], newest_first: bool) -> ColumnElement[int]:
    return revision.desc() if newest_first else revision.asc()
