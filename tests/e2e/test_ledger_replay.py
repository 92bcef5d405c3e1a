"""Replay on what a real server left behind: a copied data directory, and exported records with a pack."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import Server, answer, command, process


class Left:
    """A data directory that a server has decided in, while its facts changed."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self.keys: dict[str, str] = answer("init", "--demo", "--data-dir", self.data_dir)
        with Server(self.data_dir) as server:
            self._server = server
            self._decide()
            self._call("PUT", "/v1/ip-allowlist", {"enabled": True, "entries": [{"cidr": "10.0.0.0/8", "label": ""}]})
            self._decide()
            self._call("POST", f"/v1/keys/{self.key_id}/revoke", {"reason": "leaked"})
            self._decide()

    @property
    def key_id(self) -> str:
        return self.keys["service_key"].partition("_")[2][:12]

    def _decide(self) -> None:
        for key in (self.keys["service_key"], self.keys["user_key"], "psx_nonsense"):
            for address in (None, "10.1.2.3", "::ffff:10.1.2.3", "192.0.2.1", "nowhere"):
                resource = {"type": "pipeline", "id": "etl", "workspace": "demo", "attributes": {"env": "prod"}}
                asked = {"key": key, "scope": "pipelines:run", "resource": resource, "source_ip": address}
                self._call("POST", "/decide", asked, key="caller_key")

    def _call(self, method: str, path: str, body: dict[str, Any], key: str = "admin_key") -> None:
        reply = self._server.call(method, path, self.keys[key], body)
        assert reply.status_code < 300, reply.text


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    return Left(tmp_path_factory.mktemp("left"))


def test_a_copied_data_directory_replays_without_pepper_and_signing_key(left: Left, tmp_path: Path) -> None:
    shutil.copytree(left.data_dir, tmp_path / "copy")
    for secret in ("pepper", "signing.key"):
        (tmp_path / "copy" / secret).unlink()

    done = process("ledger", "replay", "--data-dir", tmp_path / "copy")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "", "no progress bar in a pipe"
    assert done.stdout.splitlines()[-1].startswith("45 records replayed")
    assert done.stdout.endswith(": all the same\n")


def records(left: Left) -> list[Path]:
    return [path for path in (left.data_dir / "ledger").iterdir() if ".jsonl" in path.name]


def test_records_and_a_pack_replay_where_there_is_no_data_directory(left: Left, tmp_path: Path) -> None:
    """And no secret of the data directory is in the pack, in the spelling that it has there."""
    pack = tmp_path / "out.pack"
    assert command("ledger", "pack", pack, "--data-dir", left.data_dir).returncode == 0
    copies = [shutil.copy(path, tmp_path / path.name) for path in records(left)]

    report = answer("ledger", "replay", *copies, "--pack", pack, "--data-dir", tmp_path / "nowhere")

    assert (report["ok"], report["same"]) == (True, 45)
    content = pack.read_text()
    peppers = json.loads((left.data_dir / "pepper").read_text())["peppers"]
    assert not [name for name, pepper in peppers.items() if pepper in content]
    assert not [text for name, text in left.keys.items() if name.endswith("_key") and str(text)[16:38] in content]


def test_an_altered_fact_is_found(left: Left, tmp_path: Path) -> None:
    """The auditor's pack says that the key was revoked earlier than it was."""
    pack = tmp_path / "out.pack"
    command("ledger", "pack", pack, "--data-dir", left.data_dir)
    pack.write_text(pack.read_text().replace('"reason":"leaked"', '"reason":"looked"').replace("leaked", "looked"))

    report = answer("ledger", "replay", *records(left), "--pack", pack, "--data-dir", tmp_path, expect=1)

    assert report["not_replayed"] == 15
    assert "does not match its hash" in report["troubles"]["changes"]


def test_new_rules_are_held_against_the_past(left: Left, tmp_path: Path) -> None:
    shutil.copytree(Path("policies"), tmp_path / "new")
    rules = tmp_path / "new" / "resources" / "pipeline.yaml"
    frozen = "rules:\n  - {name: frozen, effect: deny, resources: [etl], reason: frozen}\n"
    rules.write_text(rules.read_text().replace("rules:\n", frozen, 1))

    done = command(
        "ledger", "replay", "--data-dir", left.data_dir, "--policies", tmp_path / "new", "--fail-on", "allow-to-deny"
    )

    assert done.returncode == 1
    assert "The deny rule `frozen` is satisfied." in done.stdout
    document = json.loads(
        command("ledger", "replay", "--data-dir", left.data_dir, "--policies", tmp_path / "new", "--json").stdout
    )
    assert document["flips"]["allow-to-deny"] > 0
    assert document["flips"]["deny-to-allow"] == 0


def test_who_would_lose_what_without_the_key(left: Left) -> None:
    document = answer("ledger", "replay", "--data-dir", left.data_dir, "--without-key", left.key_id)

    assert {group["principal"] for group in document["groups"]} == {"service:ci"}
    assert document["flips"]["allow-to-deny"] > 0


def test_the_least_that_the_key_needed(left: Left) -> None:
    document = answer("ledger", "replay", "--data-dir", left.data_dir, "--least-privilege", left.key_id)

    assert (document["ok"], document["needed"]) == (True, ["pipelines:run"])
