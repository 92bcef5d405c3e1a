"""Finding changes by who, what and when, at a bounded cost however many there are.

Each filter has an index that ends with the revision. The one that fits the fewest changes leads: its changes are walked
in revision order, at most `WINDOW` of them a page, and the other filters are held against those. So a page costs some
milliseconds even where a million changes fit one filter and none fits all; such a page is short, and says where to go
on.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, func, select, union_all

from policy_service.model.change_query import ChangeQuery, ChangesFound
from policy_service.model.changes import Change
from policy_service.store.rows import change_of
from policy_service.store.tables import CHANGES

WINDOW: Final = 2000
"""How many changes one page looks at, at most."""
PAGE_CHARS: Final = 4_000_000
"""How much a page may weigh, by the JSON text of its effects, unless one change alone weighs more: a change that
imports keys has hundreds of effects."""
DISORDER: Final = 1000
"""Clocks are set back now and then. A time finds its place among the revisions by the `DISORDER` changes next to it in
time: unless a clock was wrong for longer than that many changes, none is missed. None is found that does not fit."""

_FIRST, _LAST = -(1 << 63), (1 << 63) - 1
_C: Final = CHANGES.c
Filters = dict[str, list[str]]
"""Of a column, the values it may have."""

Ends = tuple[int, int | None]
"""The revisions between which to look, both excluded; None: no end."""


def find_changes(
    connection: Connection,
    query: ChangeQuery,
    *,
    after: int,
    before: int | None,
    newest_first: bool,
    limit: int,
    window: int = WINDOW,
    page_chars: int = PAGE_CHARS,
) -> ChangesFound:
    """Up to `limit` changes that fit, of the revisions between `after` and `before`, both excluded.

    Fewer where they would weigh more than `page_chars`, but one at least.

    Cost: `window` index entries and rows, whatever is asked for.
    """
    query = _within_column(query)
    ends = _ends(connection, query, after, before)
    filters = _filters(connection, query)
    if ends is None or not all(filters.values()):
        return ChangesFound(changes=(), position=None)
    leader = _leader(connection, filters, ends, window)
    last = _last_looked_at(connection, filters, leader, ends, newest_first, window)
    wanted = _fitting(query, filters, leader, _narrowed(ends, last, newest_first))
    fitting: list[int] = list(connection.scalars(wanted.order_by(_in_order(newest_first)).limit(limit + 1)))
    shown = _light_enough(connection, fitting[:limit], page_chars)
    position = shown[-1] if len(fitting) > len(shown) else last
    return ChangesFound(changes=_whole(connection, shown, newest_first), position=position)


def _within_column(query: ChangeQuery) -> ChangeQuery:
    """The same question with times that a 64-bit column can be compared with: no change lies outside it."""
    times = {
        name: min(max(at, _FIRST), _LAST) for name in ("since", "until") if (at := getattr(query, name)) is not None
    }
    return msgspec.structs.replace(query, **times)


def _ends(connection: Connection, query: ChangeQuery, after: int, before: int | None) -> Ends | None:
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


def _leader(connection: Connection, filters: Filters, ends: Ends, window: int) -> str | None:
    """The filter that fits the fewest changes, as far as counting up to `window` can tell."""
    if len(filters) < 2:
        return next(iter(filters), None)

    def count(name: str) -> int:
        led = _led(filters, name, ends, window, newest_first=False)
        return connection.scalar(select(func.count()).select_from(led.subquery())) or 0

    return min(filters, key=count)


def _led(filters: Filters, leader: str | None, ends: Ends, size: int, *, newest_first: bool) -> Select[tuple[int]]:
    """The first `size` revisions that fit the leading filter, read from its index alone."""
    each = select(_C.revision).where(_between(ends)).order_by(_in_order(newest_first)).limit(size)
    if leader is None:
        return each
    # No index gives several values in revision order: the first of each are merged.
    merged = union_all(*(select(each.where(_C[leader] == value).subquery()) for value in filters[leader])).subquery()
    order = merged.c.revision.desc() if newest_first else merged.c.revision
    return select(merged.c.revision).order_by(order).limit(size)


def _last_looked_at(
    connection: Connection, filters: Filters, leader: str | None, ends: Ends, newest_first: bool, window: int
) -> int | None:
    """The revision where a page stops looking; None: it may look at all that the leading filter fits."""
    led = _led(filters, leader, ends, window + 1, newest_first=newest_first).subquery()
    end = (func.min if newest_first else func.max)(led.c.revision)
    size, last = connection.execute(select(func.count(), end)).one()
    if size <= window:
        return None
    # One more than it looks at was read, to see that there is one.
    return int(last) + 1 if newest_first else int(last) - 1


def _narrowed(ends: Ends, last: int | None, newest_first: bool) -> Ends:
    after, before = ends
    if last is None:
        return ends
    return (max(after, last - 1), before) if newest_first else (after, last + 1)


def _fitting(query: ChangeQuery, filters: Filters, leader: str | None, ends: Ends) -> Select[tuple[int]]:
    """The revisions of all that fits. By the leading filter's index: no other one is offered to the planner, which
    would take the rarest value it can think of for the fewest rows, and sort."""
    wanted = select(_C.revision).where(_between(ends))
    for name, values in filters.items():
        column = _C[name] if name == leader else _C[name].concat("")
        wanted = wanted.where(column == values[0] if len(values) == 1 else column.in_(values))
    if query.since is not None:
        wanted = wanted.where(_C.at + 0 >= query.since)
    if query.until is not None:
        wanted = wanted.where(_C.at + 0 < query.until)
    return wanted


def _between(ends: Ends) -> ColumnElement[bool]:
    after, before = ends
    return _C.revision > after if before is None else and_(_C.revision > after, _C.revision < before)


def _light_enough(connection: Connection, revisions: list[int], page_chars: int) -> list[int]:
    """The first of these changes, as many as a page can carry."""
    weighed = select(_C.revision, func.length(_C.effects).label("weight")).where(_C.revision.in_(revisions))
    weights = {row.revision: row.weight for row in connection.execute(weighed)}
    total = accumulate(weights[revision] for revision in revisions)
    return revisions[: max(sum(so_far <= page_chars for so_far in total), 1)]


def _whole(connection: Connection, revisions: list[int], newest_first: bool) -> tuple[Change, ...]:
    rows = connection.execute(select(CHANGES).where(_C.revision.in_(revisions)).order_by(_in_order(newest_first)))
    return tuple(change_of(dict(row)) for row in rows.mappings())


def _in_order(newest_first: bool) -> ColumnElement[int]:
    return _C.revision.desc() if newest_first else _C.revision.asc()
