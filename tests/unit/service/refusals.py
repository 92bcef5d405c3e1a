"""How tests say that something is refused, and that nothing changed then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from policy_service.model.errors import RequestError
from tests.unit.service.house import House


@contextmanager
def refused(house: House, code: str, status: int = 400) -> Iterator[None]:
    """The block raises RequestError with this code and status, and leaves the store as it was."""
    head, facts = house.store.head(), sorted(map(repr, house.store.facts()))
    with pytest.raises(RequestError) as raised:
        yield
    assert (raised.value.code, raised.value.status) == (code, status)
    assert raised.value.message
    assert "\n" not in raised.value.message
    assert house.store.head() == head
    assert sorted(map(repr, house.store.facts())) == facts
