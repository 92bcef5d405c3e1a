"""Administration is tested on the store in memory and on SQLite alike: the fake must not be kinder than the real."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from policy_service.store import Store, migrate
from tests.unit.service.house import House


@pytest.fixture(scope="session")
def bare_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file without facts, to be copied."""
    path = tmp_path_factory.mktemp("bare") / "policy.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def furnished_file(bare_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a furnished house, to be copied: furnishing one for each test takes five synchronous writes."""
    path = Path(shutil.copy(bare_file, tmp_path_factory.mktemp("furnished")))
    with closing(Store.open(f"sqlite:///{path}")) as store:
        House(store).furnish()
    return path


@contextmanager
def _house_on_a_copy(file: Path, folder: Path) -> Iterator[House]:
    shutil.copy(file, folder / "policy.db")
    with closing(Store.open(f"sqlite:///{folder / 'policy.db'}")) as store:
        yield House(store)


@pytest.fixture(params=["memory", "sqlite"])
def store_kind(request: pytest.FixtureRequest) -> str:
    """Which store a test runs on: once on each."""
    return str(request.param)


@pytest.fixture
def bare(store_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """A house on an empty store."""
    if store_kind == "memory":
        yield House()
        return
    with _house_on_a_copy(request.getfixturevalue("bare_file"), tmp_path) as house:
        yield house


@pytest.fixture
def house(store_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """A furnished house."""
    if store_kind == "memory":
        yield House().furnish()
        return
    with _house_on_a_copy(request.getfixturevalue("furnished_file"), tmp_path) as house:
        yield house
