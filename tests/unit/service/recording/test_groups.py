"""Groups of records and the answers that are held for them."""

from __future__ import annotations

import asyncio
import logging

import pytest

from policy_service.model.errors import StoreError
from policy_service.service.recording.groups import WRITTEN, Group, Held

FULL = StoreError("ledger_full", "no room")


def test_nothing_is_released_before() -> None:
    """The value of an answer is not had while its group is under way."""
    held = Held("allow", Group())
    with pytest.raises(StoreError) as raised:
        held.value()
    assert raised.value.code == "ledger_unavailable"


def test_a_written_group_releases_all_of_its_answers() -> None:
    """Those that waited, and those that ask afterwards."""
    group = Group()
    told: list[str] = []
    group.then(lambda: told.append("first"))
    group.then(lambda: told.append("second"))
    assert told == []
    group.settle(None)
    group.then(lambda: told.append("late"))
    assert told == ["first", "second", "late"]
    assert Held(7, group).value() == 7


def test_a_failed_group_releases_nothing_and_each_gets_an_error_of_its_own() -> None:
    """A shared exception would gather the tracebacks of all who raise it."""
    group = Group()
    group.settle(FULL)
    errors = []
    for _ in range(2):
        with pytest.raises(StoreError) as raised:
            Held("allow", group).value()
        errors.append(raised.value)
    assert [error.code for error in errors] == ["ledger_full", "ledger_full"]
    assert errors[0] is not errors[1]


def test_one_who_fails_at_being_told_keeps_nobody_else_from_it(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged."""
    group = Group()
    told: list[bool] = []
    group.then(lambda: 1 / 0)  # type: ignore[arg-type, return-value]  # a bug
    group.then(lambda: told.append(True))
    with caplog.at_level(logging.ERROR):
        group.settle(None)
    assert told == [True]
    assert "could not be handed out" in caplog.text


def test_an_answer_is_awaited_until_its_group_is_settled() -> None:
    """On the event loop; one who gave up waiting disturbs nobody."""

    async def scene() -> list[object]:
        group = Group()
        waiting = [asyncio.create_task(Held(n, group).released()) for n in range(3)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        waiting[0].cancel()
        await asyncio.sleep(0)
        group.settle(None)
        return await asyncio.gather(*waiting, return_exceptions=True)

    first, *others = asyncio.run(scene())
    assert isinstance(first, asyncio.CancelledError)
    assert others == [1, 2]


def test_another_value_waits_for_the_same() -> None:
    """What is prepared from an answer is held like it."""
    group = Group()
    reply = Held("allow", group).holding(b"{}")
    assert reply.held == b"{}"
    assert reply.group is group
    assert Held("free").value() == "free"
    assert WRITTEN.is_settled
