"""fold(changes) = tables."""

from __future__ import annotations

from contextlib import closing
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_service.model.changes import GENESIS_HASH, ChangeDraft
from policy_service.model.errors import StoreError
from policy_service.model.facts import Bundle, Fact
from policy_service.store import Store
from policy_service.store.reader import TableReader
from tests.databases import Fresh
from tests.unit.store.drafts import NOW, by_key, draft, effects_of, fold, put, wishes

Wish = tuple[bool, Fact]
History = list[tuple[list[Wish], Random]]
histories = st.lists(st.tuples(st.lists(wishes, max_size=3), st.randoms(use_true_random=False)), max_size=6)


def live(store: Store, history: History) -> None:
    """Let a history happen; after each change the tables are what it left."""
    for wanted, random in history:

        def plan(reader: TableReader, wanted: list[Wish] = wanted, random: Random = random) -> ChangeDraft | None:
            there = by_key(reader.every())
            groups = [effects_of(wish, there) for wish in wanted]
            for group in groups:
                random.shuffle(group)
            effects = [effect for group in groups for effect in group]
            return draft(*effects) if effects else None

        for _, fact in wanted:
            for digest in filter(None, (getattr(fact, "digest", None),)):
                store.put_bundle(digest, {})
        store.commit(plan, actor="local:0", now=NOW)


def check(store: Store) -> None:
    """The theorem, and that the chain holds."""
    changes = store.changes_after(0, 1000)
    assert fold(changes) == by_key(store.facts())
    assert len(changes) == store.head()
    previous = GENESIS_HASH
    for change in changes:
        assert change.is_intact()
        assert change.previous_hash == previous
        previous = change.hash
    assert store.version_token() == (len(changes), previous)


@settings(max_examples=40)
@given(history=histories)
def test_the_fold_of_the_changes_is_the_tables_on_sqlite(fresh_sqlite: Fresh, history: History) -> None:
    """Whatever is written, in whatever order of effects, folding the feed gives the tables."""
    with fresh_sqlite() as url, closing(Store.open(url)) as store:
        live(store, history)
        check(store)


@settings(max_examples=8)
@given(history=histories)
def test_the_fold_of_the_changes_is_the_tables_on_postgresql(fresh_postgres: Fresh, history: History) -> None:
    """The same, a smaller run, since each database takes a while to make."""
    with fresh_postgres() as url, closing(Store.open(url)) as store:
        live(store, history)
        check(store)


def test_a_bundle_without_its_text_is_refused(store: Store) -> None:
    """An active bundle that no worker could load must not come about."""
    with pytest.raises(StoreError) as caught:
        store.commit(lambda reader: draft(put(Bundle(digest="d", content_sha256=""))), actor="local:0", now=NOW)
    assert caught.value.code == "store_refused"
    assert store.head() == 0
