"""The server and its ledger: loud where there is none, no answer where it cannot be written, recovery by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from policy_service.ledger.codec import decode_record
from policy_service.ledger.record import DecisionRecord
from tests.e2e.processes import Server, answer
from tests.unit.api.desk import problem_code

ETL = {"type": "pipeline", "id": "etl-42", "workspace": "demo"}


class House:
    """A demonstration, and what may be asked of its server."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.keys: dict[str, str] = answer("init", "--demo", "--data-dir", data_dir)

    def ask_in_every_way(self, server: Server) -> list[httpx.Response]:
        """A question, an explained one, a batch."""
        good: dict[str, Any] = {"key": self.keys["service_key"], "scope": "pipelines:run", "resource": ETL}
        caller = self.keys["caller_key"]
        return [
            server.call("POST", "/decide", caller, good),
            server.call("POST", "/decide", caller, good, explain="true"),
            server.call("POST", "/decide/batch", caller, {"requests": [good]}),
        ]

    def files(self) -> list[Path]:
        """The live segments."""
        return sorted((self.data_dir / "ledger").glob("*.jsonl"))

    def recorded(self) -> list[str]:
        """The ids of all records."""
        found = [decode_record(line) for path in self.files() for line in path.read_bytes().splitlines()]
        return [record.id for record in found if isinstance(record, DecisionRecord)]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "data")


def ids(answers: list[httpx.Response]) -> list[str]:
    """The decisions that were answered."""
    documents = [one.json() for one in answers]
    return [decision["decision_id"] for document in documents for decision in document.get("results", [document])]


def test_off_is_loud_and_leaves_no_record(house: House) -> None:
    """At start, and in `/readyz` for as long as it runs."""
    with Server(house.data_dir, POLICY_SERVICE_LEDGER_DURABILITY="off") as server:
        assert "NO DECISION LEAVES A RECORD" in server.text()
        assert server.call("GET", "/readyz", None).json()["ledger"] == {
            "durability": "off",
            "warnings": ["ledger_off"],
        }
        assert [one.status_code for one in house.ask_in_every_way(server)] == [200, 200, 200]
    assert house.files() == []


def test_records_are_private(house: House) -> None:
    """Folder 0700, files 0600; nothing is said of decisions that are not recorded."""
    with Server(house.data_dir) as server:
        answered = ids(house.ask_in_every_way(server))
        assert "RECORD" not in server.text().upper()
        folder = house.data_dir / "ledger"
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir() if path.is_file()} == {0o600}
        assert house.recorded() == answered


def test_without_its_file_nothing_is_answered_and_with_it_again_all_is(house: House) -> None:
    """503 in every way of asking, `/readyz` red, and nobody has to restart anything."""
    with Server(house.data_dir) as server:
        answered = ids(house.ask_in_every_way(server))
        (live,) = house.files()
        away = live.rename(house.data_dir / "away")
        for refused in house.ask_in_every_way(server):
            assert problem_code(refused, 503) == "ledger_unavailable"
        assert problem_code(server.call("GET", "/readyz", None), 503) == "ledger_unavailable"
        assert "policy_service_ledger_writable 0.0" in server.call("GET", "/metrics", None).text
        away.rename(live)
        assert server.call("GET", "/readyz", None).status_code == 200
        answered += ids(house.ask_in_every_way(server))
        assert house.recorded() == answered
