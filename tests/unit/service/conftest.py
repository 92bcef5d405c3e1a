"""Fixtures of the service's tests."""

from __future__ import annotations

import pytest

from tests.unit.service.house import House


@pytest.fixture
def house() -> House:
    """A furnished house on the store in memory."""
    return House().furnish()


@pytest.fixture
def bare() -> House:
    """A house on an empty store in memory."""
    return House()
