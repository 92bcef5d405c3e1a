"""When keys were last used: noted in memory, written now and then, lost at worst."""

from __future__ import annotations

import asyncio
import logging

import pytest

from policy_service.model.errors import RequestError, StoreError
from policy_service.service.deciding import key_uses
from policy_service.service.deciding.key_uses import KeyUses
from tests.fakes import START, MemoryStore
from tests.unit.service.house import OPERATOR, House


def test_a_use_is_a_right_secret_whatever_comes_of_it(house: House) -> None:
    """Deciding about it, denied or not, and calling with it; a wrong secret, an unknown key or a name alone is none."""
    decided, revoked, wrong, calling = (house.key(principal=name) for name in ("a", "b", "c", "d"))
    house.admin.revoke_key(OPERATOR, "acme", revoked.api_key.id)
    house.decide(decided.text)
    house.decide(revoked.text)
    house.decide(house.key(principal="e").text[:-1])
    house.decide(None)
    with pytest.raises(RequestError):
        house.gate.admit(calling.text, "keys:own", None)
    keys = [issued.api_key for issued in (decided, revoked, wrong, calling)]
    used = {seen.key.id for seen in house.admin.seen(keys) if seen.last_used_at == START}
    assert used == {decided.api_key.id, revoked.api_key.id, calling.api_key.id}


def test_uses_are_written_and_are_no_changes(house: House) -> None:
    """The feed and the facts stay as they are; the latest use is seen before and after it is written."""
    issued = house.key()
    house.decide(issued.text)
    head, facts = house.store.head(), sorted(map(repr, house.store.facts()))
    assert house.uses.last([issued.api_key.id]) == {issued.api_key.id: START}
    assert house.store.last_uses([issued.api_key.id]) == {}
    asyncio.run(house.uses.flush())
    assert house.store.last_uses([issued.api_key.id]) == {issued.api_key.id: START}
    assert KeyUses(house.store).last([issued.api_key.id, "K99999999999"]) == {issued.api_key.id: START}
    assert (house.store.head(), sorted(map(repr, house.store.facts()))) == (head, facts)
    house.clock.advance(1)
    house.decide(issued.text)
    assert house.uses.last([issued.api_key.id]) == {issued.api_key.id: START + 1_000_000_000}


def test_trouble_keeps_what_was_noted_for_the_next_time(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once per kind, and decisions go on."""
    first, second = house.key(principal="a"), house.key(principal="b")
    house.decide(first.text)
    house.store.broken = StoreError("store_locked", "locked")
    with caplog.at_level(logging.WARNING):
        asyncio.run(house.uses.flush())
        asyncio.run(house.uses.flush())
    assert [record.getMessage() for record in caplog.records] == [
        "cannot write when keys were last used: locked [store_locked]"
    ]
    house.store.broken = None
    house.clock.advance(1)
    house.decide(second.text)
    asyncio.run(house.uses.flush())
    ids = [first.api_key.id, second.api_key.id]
    assert house.store.last_uses(ids) == {ids[0]: START, ids[1]: START + 1_000_000_000}


def test_uses_are_written_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a task of its own; nothing is written when nothing was used."""
    monkeypatch.setattr(key_uses, "FLUSH_S", 0.001)
    store = MemoryStore()
    writes: list[int] = []
    uses = KeyUses(store)
    monkeypatch.setattr(uses, "write", lambda taken: (writes.append(len(taken)), KeyUses.write(uses, taken)))

    async def main() -> None:
        task = asyncio.create_task(uses.run())
        await asyncio.sleep(0.02)
        assert writes == []
        uses.note(house_credential(), START)
        while not store.uses:
            await asyncio.sleep(0.001)
        task.cancel()

    asyncio.run(main())
    assert store.uses == {"K00000000001": START}


def house_credential() -> key_uses.Credential:
    """A right secret."""
    return key_uses.Credential("verified", "K00000000001", 1)
