"""Fixtures of the API's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.api.desk import ADMIN_SCOPES, Desk
from tests.unit.service.house import House


@pytest.fixture
def house() -> House:
    """A furnished house on the store in memory."""
    return House().furnish()


@pytest.fixture
def operator(house: House) -> Iterator[Desk]:
    """A client with a key of `system` that may do everything."""
    with Desk(house, key=house.key("system", principal="ops", scopes=ADMIN_SCOPES).text) as desk:
        yield desk


@pytest.fixture
def tenant(house: House) -> Iterator[Desk]:
    """A client with a key of `acme` that may do everything there."""
    with Desk(house, key=house.key("acme", principal="admin", scopes=ADMIN_SCOPES).text) as desk:
        yield desk
