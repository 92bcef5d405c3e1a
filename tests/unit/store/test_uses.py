"""When keys were last used, in the database: beside the facts, the latest instant wins."""

from __future__ import annotations

from policy_service.store import Store
from policy_service.store.uses import BATCH


def test_the_latest_use_stays(store: Store) -> None:
    """Whichever process writes last."""
    store.record_uses({"K2": 5, "K1": 1 << 62})
    store.record_uses({"K1": 3, "K2": 7, "K3": 1})
    assert store.last_uses(["K1", "K2", "K3", "K4"]) == {"K1": 1 << 62, "K2": 7, "K3": 1}
    assert store.last_uses([]) == {}


def test_uses_are_no_changes(store: Store) -> None:
    """No revision, no fact; followers see nothing of it."""
    before = (store.version_token(), list(store.facts()))
    store.record_uses({"K1": 1})
    assert (store.version_token(), list(store.facts())) == before


def test_many_uses_are_written_in_batches(store: Store) -> None:
    """And read in batches: no statement grows without bound."""
    uses = {f"K{number:011d}": number for number in range(2 * BATCH + 1)}
    store.record_uses(uses)
    assert store.last_uses(uses) == uses
