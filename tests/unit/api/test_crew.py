"""Any worker tells of all: where they stand, and what they counted."""

from __future__ import annotations

import json
import logging
import re

import msgspec
import pytest

from policy_service.api.crew import CrewDesk
from policy_service.api.meters import Meters
from policy_service.api.operations import readiness, readiness_reply
from policy_service.model.decision import Decision
from policy_service.model.errors import StoreError
from policy_service.service.following.crew import DOWN, SILENT, SILENT_S, Crew
from tests.unit.api.desk import services_of
from tests.unit.service.house import House, ask


class Worker:
    """One worker of a crew, on a store of its own."""

    def __init__(self, crew: Crew, number: int, house: House, seconds: list[float]) -> None:
        self.house = house
        house.replica.catch_up()
        self.meters = Meters()
        self.services = msgspec.structs.replace(services_of(house), member=crew.member(number))
        self.desk = CrewDesk(
            crew.member(number),
            self.services,
            self.meters,
            lambda: readiness(self.services),
            elapsed=lambda: seconds[0],
        )

    def decide(self, times: int) -> Decision:
        """So many decisions, counted."""
        decision = self.house.decide(ask(None).key).decision
        for _ in range(times):
            self.meters.decided(decision)
        return decision

    def told(self, head: int | None = 100) -> dict[str, float]:
        """What `/metrics` of this worker says."""
        text = self.desk.text(head).decode()
        return {name: float(value) for name, value in re.findall(r"^(policy_service_\S+) (\S+)$", text, re.M)}

    def ready(self) -> dict[str, object]:
        document: dict[str, object] = json.loads(readiness_reply(self.services, self.desk).body)
        return document


@pytest.fixture
def seconds() -> list[float]:
    """Now, in the first place."""
    return [100.0]


@pytest.fixture
def workers(seconds: list[float]) -> list[Worker]:
    """Two of three: the third is not there."""
    crew = Crew(3, elapsed=lambda: seconds[0])
    return [Worker(crew, number, House().furnish(), seconds) for number in range(2)]


COUNTED = 'policy_service_decisions_total{decision="deny",reason="missing_credentials",worker="%d"}'


def test_counters_are_told_by_worker(workers: list[Worker]) -> None:
    """Whichever is asked, and never lower than it was shown before."""
    workers[0].decide(3)
    workers[1].decide(4)
    assert COUNTED % 1 not in workers[0].told()
    assert {COUNTED % 0: 3.0, COUNTED % 1: 4.0}.items() <= workers[1].told().items()
    workers[1].decide(2)
    assert workers[0].told()[COUNTED % 1] == 4.0, "as of the last second"
    assert workers[1].told()[COUNTED % 1] == 6.0
    assert workers[0].told()[COUNTED % 1] == 6.0


def test_freshness_is_that_of_now(workers: list[Worker]) -> None:
    """Revision and lag are told with each move of a snapshot, and measured against the head when asked."""
    head = workers[1].house.store.head()
    workers[1].desk.tell()
    told = workers[0].told(head + 5)
    assert told['policy_service_lag_revisions{worker="1"}'] == 5.0
    workers[1].house.key()
    workers[1].house.replica.catch_up()
    workers[1].desk.tell()
    told = workers[0].told(head + 5)
    assert told['policy_service_revision{worker="1"}'] == workers[1].house.store.head()
    assert told['policy_service_lag_revisions{worker="1"}'] == head + 5 - workers[1].house.store.head()
    assert 'policy_service_lag_revisions{worker="1"}' not in workers[0].told(None)
    assert 'policy_service_revision{worker="2"}' not in told


def test_a_worker_that_is_down_stuck_or_in_trouble_is_seen(workers: list[Worker], seconds: list[float]) -> None:
    """In the metrics, and in `/readyz`, which stays 200 for the one that answers."""
    workers[1].desk.tell()

    def seen() -> list[object]:
        document = workers[0].ready()
        assert (document["status"], document["worker"]) == ("ready", 0)
        up = [workers[0].told()[f'policy_service_worker_up{{worker="{number}"}}'] for number in range(3)]
        troubles = [each["trouble"] for each in document["workers"]]  # type: ignore[attr-defined]  # a list
        assert up == [float(trouble is None) for trouble in troubles]
        return troubles

    assert seen() == [None, None, DOWN]
    workers[1].house.replica.stop(StoreError("store_diverged", "somebody else's store"))
    workers[1].desk.tell()
    assert seen() == [None, "store_diverged", DOWN]
    workers[1].house.replica.stop(None)  # type: ignore[arg-type]  # well again, which no replica is after that
    workers[1].desk.tell()
    seconds[0] += SILENT_S + 1
    assert seen() == [None, SILENT, DOWN]


def test_too_many_labels_to_be_told_are_logged_once(workers: list[Worker], caplog: pytest.LogCaptureFixture) -> None:
    """What was told last stands."""
    decision = workers[0].decide(3)
    workers[0].told()
    for number in range(20_000):
        workers[0].meters.decided(msgspec.structs.replace(decision, reason=f"{number:040d}"))
    with caplog.at_level(logging.ERROR):
        assert workers[0].told()[COUNTED % 0] == 3.0
        workers[0].told()
    assert len(caplog.records) == 1


def test_one_process_alone_tells_as_before(house: House) -> None:
    """No label, no list of workers."""
    house.replica.catch_up()
    document = json.loads(readiness_reply(services_of(house)).body)
    assert "workers" not in document
    assert "worker" not in document
