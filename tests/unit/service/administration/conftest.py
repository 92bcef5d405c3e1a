"""Administration is tested on the store in memory and on SQLite alike: the fake must not be kinder than the real."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from policy_service.store import Store, migrate
from tests.unit.service.house import House


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file without facts, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "policy.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["memory", "sqlite"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """A house on an empty store; the test runs once on each kind."""
    if request.param == "memory":
        yield House()
        return
    shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "policy.db")
    with closing(Store.open(f"sqlite:///{tmp_path / 'policy.db'}")) as store:
        yield House(store)


@pytest.fixture
def house(bare: House) -> House:
    """A furnished house; the test runs once on each kind of store."""
    return bare.furnish()
