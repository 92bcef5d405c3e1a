"""The cache of policies and programs."""

from __future__ import annotations

import threading

import pytest

from policy_service.service.policies.cache import Cache


def test_a_value_is_made_once_and_the_least_used_goes_first() -> None:
    """A use keeps a value; what was not used longest makes room."""
    cache: Cache[str] = Cache(2)
    made: list[str] = []

    def get(name: str) -> str:
        return cache.get(name, lambda: made.append(name) or name.upper())  # type: ignore[func-returns-value]  # append, then the value

    assert [get(name) for name in ("a", "b", "a", "c", "a", "b")] == ["A", "B", "A", "C", "A", "B"]
    assert made == ["a", "b", "c", "b"]


def test_what_cannot_be_made_is_not_kept() -> None:
    """The error passes through; the next one tries again."""
    cache: Cache[str] = Cache(2)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: str(1 // 0))
    assert cache.get("a", lambda: "made") == "made"


def test_two_who_make_the_same_value_share_the_first() -> None:
    """Whoever comes second gets the value that is there."""
    cache: Cache[object] = Cache(2)
    first, second = object(), object()

    def slow() -> object:
        cache.get("a", lambda: first)
        return second

    assert cache.get("a", slow) is first


def test_who_asks_for_what_is_being_made_waits_for_it() -> None:
    """It is made once; whoever only wants to know whether it is there does not wait, nor do others."""
    cache: Cache[str] = Cache(2)
    begun, go_on = threading.Event(), threading.Event()
    made: list[str] = []

    def slow() -> str:
        begun.set()
        assert go_on.wait(60)
        made.append("slow")
        return "slow"

    threads = [threading.Thread(target=cache.get, args=("a", slow)) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert begun.wait(60)
    assert cache.ready("a") is None
    assert cache.get("b", lambda: "quick") == "quick"
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert made == ["slow"]
    assert cache.ready("a") == "slow"
