"""`verify` holds the tables of the facts against the changes: a row that was rewritten is named."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy_service.ledger.findings import Finding
from policy_service.ledger.keys import load_verifiers
from policy_service.model.facts import ApiKey, Fact, Team, User
from policy_service.service.auditing import archive as archive_module
from policy_service.service.auditing.archive import StoreArchive
from policy_service.service.auditing.audit import audit
from policy_service.service.auditing.tables import MAX_TOLD, Folded
from policy_service.settings import Settings
from policy_service.store import Store
from tests.ledger_houses import LedgerHouse, filled

REWRITTEN = {
    "a key that was made another's": ("UPDATE api_keys SET principal_id = principal_id || 'x'", "api_key `"),
    "a key that can do more": ("UPDATE api_keys SET scopes = '[\"admin:organization\"]'", "api_key `"),
    "a key that seems revoked": ("UPDATE api_keys SET revoked_at = 1", "api_key `"),
    "a secret that works on": ("UPDATE api_keys SET slots = '[]'", "api_key `"),
    "a row that nobody made": (
        "INSERT INTO memberships SELECT workspace, team, 'mallory' FROM memberships LIMIT 1",
        "/mallory` is not what",
    ),
    "a row that is gone": ("DELETE FROM memberships", "facts that the changes made are not in their tables"),
    "a row that is no fact": ("UPDATE api_keys SET slots = '[1]'", "a row of api_key cannot be read"),
    "another bundle that is active": (
        "UPDATE active_bundles SET digest = 'sha256:none'",
        "active_bundle `active` is not",
    ),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerHouse]:
    made = filled(tmp_path_factory.mktemp("house") / "data")
    yield made
    made.close()


def tampered(original: LedgerHouse, data_dir: Path, statement: str) -> list[Finding]:
    """What is found where somebody with the database's file did that."""
    shutil.copytree(original.data_dir, data_dir)
    with sqlite3.connect(data_dir / "policy.db") as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        assert connection.execute(statement).rowcount > 0
    store = Store.open(Settings(data_dir=data_dir).store_url())
    try:
        found = audit(data_dir / "ledger", load_verifiers(data_dir / "signing.pub"), StoreArchive(store))
    finally:
        store.close()
    return [one for one in found.findings if one.severity == "error"]


@pytest.mark.parametrize("what", REWRITTEN)
def test_a_row_that_was_rewritten_is_named(original: LedgerHouse, tmp_path: Path, what: str) -> None:
    statement, told = REWRITTEN[what]
    errors = tampered(original, tmp_path / "data", statement)
    assert {one.code for one in errors} == {"facts_rewritten"}
    assert any(told in one.message for one in errors), errors


def test_a_sealed_part_that_is_gone_is_named(original: LedgerHouse, tmp_path: Path) -> None:
    """A pack goes without, a store does not: no key would work any more."""
    statement = "UPDATE changes SET sealed = NULL WHERE sealed IS NOT NULL"
    errors = tampered(original, tmp_path / "data", statement)
    assert {one.code for one in errors} == {"change_altered"}
    assert "the sealed part of change" in errors[0].message


def test_of_many_rewritten_rows_some_are_named_and_all_are_counted() -> None:
    """There may be a million."""
    rows = [User(workspace="acme", id=f"user-{number}", name="n") for number in range(MAX_TOLD + 7)]
    messages = [one.message for one in Folded().differences(Rows(rows))]
    assert len(messages) == MAX_TOLD + 1
    assert messages[-1] == "7 more of user are not what the changes made them"


class Rows:
    """Tables that hold just these."""

    def __init__(self, rows: list[User], head: int = 0) -> None:
        self._rows = rows
        self._head = head

    def head_now(self) -> int:
        return self._head

    def facts(self, entity: type[Fact]) -> Iterator[Fact]:
        return (row for row in self._rows if isinstance(row, entity))


def test_a_store_that_is_written_to_meanwhile_is_no_failure() -> None:
    """Its tables cannot be held against changes that are older than they."""
    (only,) = Folded().differences(Rows([User(workspace="acme", id="u", name="n")], head=1))
    assert (only.code, only.severity) == ("facts_unchecked", "notice")


def test_facts_are_read_by_the_page(original: LedgerHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = StoreArchive(original.store)
    whole = [list(archive.facts(entity)) for entity in (ApiKey, User, Team)]
    monkeypatch.setattr(archive_module, "PAGE", 1)
    assert [list(archive.facts(entity)) for entity in (ApiKey, User, Team)] == whole
    assert len(whole[0]) > 1
