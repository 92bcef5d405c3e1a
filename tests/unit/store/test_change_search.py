"""Finding changes, against looking through all of them, on both databases."""

from __future__ import annotations

import random

import pytest

from policy_service.model.change_query import ChangeQuery
from policy_service.model.changes import Change, ChangeDraft
from policy_service.model.facts import Workspace
from policy_service.model.instants import MAX_NS, MIN_NS
from policy_service.store import Store
from policy_service.store.change_search import PAGE_CHARS, find_changes
from policy_service.store.tables import CHANGES
from tests.unit.store.drafts import NOW, draft, put

WORKSPACES = ("demo", "other", "third")
ACTORS = ("key:AAAAAAAAAAAA", "key:BBBBBBBBBBBB", "local:0")
ACTIONS = ("user.put", "user.delete", "user_group.put", "api_key.create", "workspace.create")
SUBJECTS = ("demo/ada", "other/ada", "demo/bob", "demo")
S = 1_000_000_000


def fill(store: Store, count: int, seed: int = 7) -> list[Change]:
    """So many changes of all kinds; the clock is set back now and then."""
    rng, now = random.Random(seed), NOW
    for number in range(count):
        now += rng.choice((0, S, S, 5 * S, -3 * S))
        made = Workspace(id=f"w{number}", created_at=now)
        change = ChangeDraft(
            action=rng.choice(ACTIONS),
            workspace=rng.choice((*WORKSPACES, None)),
            subject=rng.choice(SUBJECTS),
            effects=(put(made),),
            sealed="{}" if number % 5 == 0 else None,
        )
        store.commit(lambda _, change=change: change, actor=rng.choice(ACTORS), now=now)
    return store.changes_after(0, count + 1)


def random_query(rng: random.Random) -> ChangeQuery:
    """Any filters, of which some fit nothing."""

    def some(*values: object) -> object:
        return rng.choice(values) if rng.random() < 0.3 else None

    return ChangeQuery(
        workspace=some(*WORKSPACES, "none"),
        actor=some(*ACTORS),
        action=some(*ACTIONS, "user.none"),
        entity=some("user", "api_key", "us", "none"),
        subjects=some(("demo/ada",), ("ada", "demo/ada"), ("demo", "demo/bob", "demo"), ("none",)),
        since=some(NOW, NOW + 30 * S, NOW + 900 * S),
        until=some(NOW + 20 * S, NOW + 60 * S, NOW - S),
    )


def pages(
    store: Store,
    query: ChangeQuery,
    newest_first: bool,
    limit: int,
    window: int,
    after: int,
    page_chars: int = PAGE_CHARS,
) -> list[Change]:
    """All that fits, page by page."""
    found: list[Change] = []
    position: int | None = None
    with store._reading.connect() as connection:
        while True:
            page = find_changes(
                connection,
                query,
                after=after if newest_first or position is None else position,
                before=position if newest_first else None,
                newest_first=newest_first,
                limit=limit,
                window=window,
                page_chars=page_chars,
            )
            assert len(page.changes) <= (limit if page_chars else 1)
            found += page.changes
            if page.position is None:
                return found
            position = page.position


def test_what_fits_is_found_whatever_is_asked_for(store: Store) -> None:
    """Any filters, either order, however little a page may hold, look at or weigh: each change once, in order."""
    changes = fill(store, 80)
    rng = random.Random(1)
    hits = 0
    for _ in range(100):
        query, newest_first = random_query(rng), rng.random() < 0.5
        after, limit, window = rng.choice((0, 0, 40)), rng.choice((1, 3, 100)), rng.choice((2, 5, 1000))
        expected = [change for change in changes if query.fits(change) and change.revision > after]
        found = pages(store, query, newest_first, limit, window, after, rng.choice((0, 150, PAGE_CHARS)))
        assert found == (expected[::-1] if newest_first else expected), query
        hits += bool(found)
    assert hits > 24


def test_a_page_ends_where_it_ended_whatever_came_since(store: Store) -> None:
    """Changes made between two pages: none is repeated, none skipped; the newest-first reader does not see them."""
    changes = fill(store, 10)
    first = store.find_changes(ChangeQuery(), newest_first=True, limit=4)
    store.commit(
        lambda _: draft(put(Workspace(id="demo")), action="workspace.create"), actor="local:0", now=NOW + 999 * S
    )
    rest = store.find_changes(ChangeQuery(), newest_first=True, before=first.position, limit=100)
    assert [*first.changes, *rest.changes] == changes[::-1]
    oldest = store.find_changes(ChangeQuery(), after=10, limit=100)
    assert [change.revision for change in oldest.changes] == [11]
    assert oldest.position is None


def test_the_entity_is_the_whole_of_the_word(store: Store) -> None:
    """`user` is neither `user_group` nor `us`, and an action of another entity fits nothing."""
    fill(store, 40)
    found = store.find_changes(ChangeQuery(entity="user"), limit=100).changes
    assert {change.action for change in found} == {"user.put", "user.delete"}
    assert store.find_changes(ChangeQuery(entity="us"), limit=100).changes == ()
    assert store.find_changes(ChangeQuery(entity="user", action="api_key.create"), limit=100).changes == ()


def test_an_empty_feed_has_nothing(store: Store) -> None:
    """Not even a time."""
    for query in (ChangeQuery(), ChangeQuery(since=NOW), ChangeQuery(until=NOW), ChangeQuery(entity="user")):
        found = store.find_changes(query, limit=1)
        assert (found.changes, found.position) == ((), None)


def test_each_filter_has_its_index(store: Store) -> None:
    """Whoever adds a filter adds its index: a page must not read the whole feed."""
    led = {tuple(column.name for column in index.columns) for index in CHANGES.indexes}
    assert led == {(name, "revision") for name in ("workspace", "actor", "action", "subject", "at")}


@pytest.mark.parametrize("member", ["workspace", "actor", "action", "entity", "subjects", "since", "until"])
def test_a_change_fits_only_if_every_member_does(member: str) -> None:
    """The plain meaning, member by member."""
    change = Change(
        revision=1, at=5, actor="a", action="user.put", workspace="w", subject="s", effects=(), note="", sealed=None,
        sealed_sha256=None, previous_hash="", hash="",
    )  # fmt: skip
    fitting = {"workspace": "w", "actor": "a", "action": "user.put", "entity": "user", "subjects": ("s",)}
    assert ChangeQuery(**fitting, since=5, until=6).fits(change)
    other = {"subjects": ("x",), "since": 6, "until": 5}.get(member, "x")
    assert not ChangeQuery(**{**fitting, member: other}).fits(change)


def test_times_outside_64_bits_are_just_early_and_late(store: Store) -> None:
    """The years 1 and 9999 are past what a column of nanoseconds holds; no change lies there."""
    made = fill(store, 3)
    everything = ChangeQuery(since=MIN_NS, until=MAX_NS)
    assert pages(store, everything, newest_first=False, limit=10, window=10, after=0) == made
    assert pages(store, ChangeQuery(since=MAX_NS), newest_first=False, limit=10, window=10, after=0) == []
