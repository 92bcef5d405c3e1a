"""One server for all attacks that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.security.house import House


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Two tenants behind one server. Its log tells of no bug in the end and holds no key."""
    house = House(tmp_path_factory.mktemp("attacked") / "data", POLICY_SERVICE_LOG_LEVEL="debug")
    with house.server:
        yield house
        house.close()
    log = house.server.text()
    assert "Traceback" not in log
    assert "unexpected" not in log
    assert [kind for kind, key in house.keys.items() if key is not None and len(key) > 20 and key in log] == []
