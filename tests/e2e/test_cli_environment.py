"""An environment that is not fit is one clear line and exit code 2; nothing is made or changed by finding out."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.processes import Server, answer, command, one_line, process

SERVE = ("serve", "--port", "0", "--data-dir")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory as `init` makes it, to be copied."""
    data = tmp_path_factory.mktemp("template") / "data"
    answer("init", "--data-dir", data)
    return data


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    """A fresh copy."""
    copy = tmp_path / "data"
    shutil.copytree(template, copy)
    return copy


def run_sql(data: Path, statement: str) -> None:
    """Change the database behind the service's back."""
    with closing(sqlite3.connect(data / "policy.db")) as connection, connection:
        connection.execute(statement)


def test_the_data_directory_is_private(template: Path) -> None:
    """Folders 0700, files 0600: nobody else reads verifiers. The keys that verify checkpoints are for everybody."""
    assert stat.S_IMODE(template.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in template.iterdir()}
    assert (modes.pop("ledger"), modes.pop("signing.pub")) == (0o700, 0o644)
    assert set(modes) >= {"pepper", "policy.db", "signing.key"}
    assert set(modes.values()) == {0o600}


def test_init_is_idempotent(data: Path) -> None:
    """A second run changes nothing and shows no key."""
    again = answer("init", "--data-dir", data)
    assert again["created"] is False
    assert again["system_key"] is None


def test_init_demo_refuses_a_store_that_holds_something(data: Path) -> None:
    """A demonstration never mixes with real facts."""
    line = one_line(command("init", "--demo", "--data-dir", data))
    assert "[not_empty]" in line
    assert one_line(command("init", "--demo", "--json", "--data-dir", data)) == line


def test_init_closes_an_empty_folder_that_was_open(tmp_path: Path) -> None:
    """`mkdir data` before `init` is no reason to fail, nor to leave it open."""
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    data.chmod(0o755)
    answer("init", "--data-dir", data)
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_a_missing_store_is_not_made(tmp_path: Path) -> None:
    """`serve` on a mistyped folder must not leave an empty database there."""
    assert "[no_store]" in one_line(command(*SERVE, tmp_path / "typo"))
    assert not (tmp_path / "typo").exists()


def test_a_damaged_store_is_one_line(data: Path) -> None:
    """Bytes that are no database."""
    (data / "policy.db").write_bytes(b"not a database at all" * 500)
    assert "[store_damaged]" in one_line(command(*SERVE, data))


def test_a_missing_pepper_is_one_line(data: Path) -> None:
    """Without it every key would be refused; `init` does not make a new one over facts either."""
    (data / "pepper").unlink()
    assert "[missing_pepper]" in one_line(command(*SERVE, data))
    assert "[missing_pepper]" in one_line(command("init", "--data-dir", data))
    assert not (data / "pepper").exists()


def test_a_pepper_that_others_can_read_is_one_line(data: Path) -> None:
    """The remedy is named."""
    (data / "pepper").chmod(0o644)
    line = one_line(command(*SERVE, data))
    assert "[loose_pepper]" in line
    assert "chmod 600" in line


def test_a_store_behind_the_code_is_one_line(data: Path) -> None:
    """`serve` never migrates: it names the command that does."""
    run_sql(data, "DELETE FROM alembic_version")
    line = one_line(command(*SERVE, data))
    assert "[migration_behind]" in line
    assert "policy-service init" in line


def test_a_store_ahead_of_the_code_is_one_line(data: Path) -> None:
    """A newer version has been here."""
    run_sql(data, "UPDATE alembic_version SET version_num = 'ffffffffffff'")
    assert "[migration_ahead]" in one_line(command(*SERVE, data))
    assert "[migration_ahead]" in one_line(command("init", "--data-dir", data))


def test_a_changed_past_is_one_line(data: Path) -> None:
    """A change that no longer fits its hash stops the start: nothing is decided on such facts."""
    run_sql(data, "DROP TRIGGER changes_no_update")
    run_sql(data, "UPDATE changes SET actor = 'somebody else' WHERE revision = 2")
    assert "[store_diverged]" in one_line(command(*SERVE, data))


def test_an_occupied_port_is_one_line(data: Path) -> None:
    """And the server of before keeps it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = command("serve", "--port", port, "--data-dir", data)
    assert done.returncode == 2
    assert "[cannot_listen]" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_process_ends_with_the_exit_code_and_the_line(data: Path) -> None:
    """The other tests call the command's own function; this one is the proof that a process does the same."""
    done = process("decide", "--scope", "pipelines:run", "--resource", "nonsense", "--key-id", "x", "--data-dir", data)
    assert "[usage]" in one_line(done)
    unknown = ("--scope", "pipelines:run", "--resource", "pipeline:x", "--key-id", "x", "--json", "--data-dir", data)
    denied = process("decide", *unknown)
    assert (denied.returncode, json.loads(denied.stdout)["reason"]) == (1, "unknown_key")


@pytest.mark.parametrize("spoil", ["no store", "no pepper", "port taken"])
def test_several_workers_that_cannot_start_say_so_once(data: Path, spoil: str, tmp_path: Path) -> None:
    """One line and exit code 2, as one process would: not a line from each worker."""
    port, code = "0", {"no store": "no_store", "no pepper": "missing_pepper", "port taken": "cannot_listen"}[spoil]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        if spoil == "no pepper":
            (data / "pepper").unlink()
        if spoil == "port taken":
            port = str(taken.getsockname()[1])
        place = tmp_path / "nowhere" if spoil == "no store" else data
        done = process("serve", "--workers", "3", "--port", port, "--data-dir", place)
    assert f"[{code}]" in one_line(done)


def test_a_wrong_setting_is_one_line(data: Path) -> None:
    """It names the variable."""
    line = one_line(command(*SERVE, data, POLICY_SERVICE_LOG_LEVEL="loud"))
    assert "POLICY_SERVICE_LOG_LEVEL" in line


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_an_unreadable_store_is_one_line(data: Path) -> None:
    """Somebody else's data directory."""
    (data / "policy.db").chmod(0)
    assert one_line(command(*SERVE, data))


def test_serve_activates_the_folder_it_is_given(data: Path, tmp_path: Path) -> None:
    """Once: where the files mean what is active already, nothing is changed."""
    policies = tmp_path / "policies"
    shutil.copytree(Path(__file__).parents[2] / "policies", policies)
    before = answer("changes", "list", "--data-dir", data)["revision"]
    with Server(data, "--policies", policies):
        pass
    assert actions(data, before) == ["ledger_shard.open", "ledger_shard.close"]
    chain = policies / "chain.yaml"
    chain.write_text(chain.read_text() + "  - {check: condition, name: never, require: 'false', reason: never}\n")
    with Server(data, "--policies", policies) as server:
        assert "activated" in server.text()
    assert actions(data, before + 2) == [
        "bundle.publish",
        "bundle.activate",
        "ledger_shard.open",
        "ledger_shard.close",
    ]


def actions(data: Path, after: int) -> list[str]:
    """What was done since a revision."""
    return [change["action"] for change in answer("changes", "list", "--data-dir", data)["data"][after:]]


def test_serve_refuses_a_broken_folder_and_keeps_what_was_active(data: Path, tmp_path: Path) -> None:
    """Every mistake is shown; exit code 1: the answer is no."""
    policies = tmp_path / "policies"
    shutil.copytree(Path(__file__).parents[2] / "policies", policies)
    (policies / "chain.yaml").write_text("chain: 7\n")
    done = command(*SERVE, data, "--policies", policies)
    assert done.returncode == 1
    assert "chain.yaml:1:8:" in done.stderr
    with Server(data) as server:
        assert server.call("GET", "/readyz", None).status_code == 200
