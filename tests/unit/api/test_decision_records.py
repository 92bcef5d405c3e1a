"""`GET /v1/decisions`: one's own workspace's records, newest first, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from policy_service.ledger.codec import encode_record
from policy_service.ledger.layout import Segment
from policy_service.ledger.record import DecisionRecord, RecordedCredential, RecordedPrincipal
from policy_service.model.canonical import canonical_text
from policy_service.model.facts import LedgerShard
from policy_service.service.caller import local_caller
from policy_service.service.recording.shards import Shards
from tests.fakes import START
from tests.unit.api.desk import Desk
from tests.unit.ledger.records import a_record, a_request
from tests.unit.service.house import OPERATOR, House

FIRST, SECOND = "20270115T080000-AAAAAAAA", "20270115T080001-BBBBBBBB"


class Shelf:
    """A ledger folder of two shards that overlap in time; every third record is of `zeta`."""

    def __init__(self, folder: Path, house: House) -> None:
        self.folder = folder
        self.house = house
        self.records: list[DecisionRecord] = []
        shards = Shards(house.store, house.clock, house.ids, local_caller(0))  # type: ignore[arg-type]
        for number, name in enumerate((FIRST, SECOND)):
            shards.open(LedgerShard(id=name, opened_at=START + number * 1_000_000_000))
        self.add(30)

    def add(self, count: int) -> None:
        """Append records, to both shards in turn."""
        for _ in range(count):
            number = len(self.records)
            record = _record(number)
            self.records.append(record)
            shard = SECOND if number > 9 and number % 2 else FIRST
            segment = Segment(self.folder, shard, 1 + number // 20)
            with segment.plain.open("ab") as file:
                file.write(encode_record(record) + b"\n")

    def ids(self, *, workspace: str = "acme") -> list[str]:
        """Newest first."""
        return [record.id for record in reversed(self.records) if record.workspace == workspace]


def _record(number: int) -> DecisionRecord:
    denied = number % 5 == 0
    return a_record(
        id=f"D{number:021d}",
        at=str(START + 2_000_000_000 + number * 1_000_000),
        workspace="zeta" if number % 3 == 0 else "acme",
        decision="deny" if denied else "allow",
        reason="role_not_granted" if denied else "allowed",
        rule="locked" if number == 5 else None,
        request=a_request(
            credential=RecordedCredential(outcome="verified", key_id=f"K{number % 4:011d}", slot=1),
            context={"tags": ["ä", 1, None], "x": 0.5},
        ),
        principal=RecordedPrincipal(kind="user", id=f"u{number % 2}"),
    )


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    house = House().furnish()
    house.ledger_folder = tmp_path
    return Shelf(tmp_path, house)


@pytest.fixture
def reader(shelf: Shelf) -> Iterator[Desk]:
    """A key of `acme` with `decisions:read` and nothing else."""
    shelf.house.admin.put_service_principal(OPERATOR, "acme", "auditor")
    issued = shelf.house.key("acme", principal="auditor", scopes=("decisions:read",))
    with Desk(shelf.house, key=issued.text) as desk:
        yield desk


def pages(desk: Desk, **query: Any) -> list[list[dict[str, Any]]]:
    """All pages of a listing."""
    found: list[list[dict[str, Any]]] = []
    cursor: str | None = None
    while True:
        answer = desk.call("GET", "/v1/decisions", params={**query, **({"cursor": cursor} if cursor else {})}).json()
        found.append(answer["data"])
        cursor = answer["next_cursor"]
        if cursor is None:
            return found


def ids_of(found: Sequence[Sequence[dict[str, Any]]]) -> list[str]:
    return [item["id"] for page in found for item in page]


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_records_come_newest_first_however_they_are_paged(shelf: Shelf, reader: Desk, limit: int) -> None:
    """Over both shards and all segments, each once."""
    assert ids_of(pages(reader, limit=limit)) == shelf.ids()


def test_a_record_is_its_line(shelf: Shelf, reader: Desk) -> None:
    """Its canonical JSON is the line in the ledger, byte for byte."""
    lines = {encode_record(record) for record in shelf.records}
    for item in pages(reader)[0]:
        assert canonical_text(item).encode() in lines


def test_new_records_do_not_move_a_listing(shelf: Shelf, reader: Desk) -> None:
    """A cursor goes on where it was, whatever was decided since."""
    before = shelf.ids()
    first = reader.call("GET", "/v1/decisions", params={"limit": 4}).json()
    shelf.add(11)
    rest = pages(reader, limit=4, cursor=first["next_cursor"]) if first["next_cursor"] else []
    assert [item["id"] for item in first["data"]] + ids_of(rest) == before


def test_nobody_reads_records_of_another_workspace(shelf: Shelf, reader: Desk) -> None:
    """Not by naming it, and the operator only by naming it."""
    assert {item["workspace"] for page in pages(reader) for item in page} == {"acme"}
    assert reader.call("GET", "/v1/decisions", params={"workspace": "zeta"}).status_code == 403
    operator = shelf.house.key("system", principal="ops", scopes=("decisions:read",))
    shelf.house.replica.catch_up()
    with Desk(shelf.house, key=operator.text) as desk:
        assert ids_of(pages(desk, workspace="zeta")) == shelf.ids(workspace="zeta")
        assert ids_of(pages(desk)) == []


def test_other_scopes_do_not_open_it(shelf: Shelf) -> None:
    """An administrator without `decisions:read` is refused."""
    shelf.house.admin.put_service_principal(OPERATOR, "acme", "admin")
    issued = shelf.house.key("acme", principal="admin", scopes=("admin:organization",))
    with Desk(shelf.house, key=issued.text) as desk:
        assert desk.call("GET", "/v1/decisions").status_code == 403


def _key(record: DecisionRecord) -> str | None:
    return record.request.credential.key_id


FILTERS: list[tuple[dict[str, str], Any]] = [
    ({"decision": "deny"}, lambda r: r.decision == "deny"),
    ({"reason": "role_not_granted"}, lambda r: r.reason == "role_not_granted"),
    ({"rule": "locked"}, lambda r: r.rule == "locked"),
    ({"key": "K00000000001"}, lambda r: _key(r) == "K00000000001"),
    ({"principal": "user:u1"}, lambda r: r.principal.id == "u1"),
    ({"scope": "pipelines:run"}, lambda r: True),
    ({"scope": "pipelines:read"}, lambda r: False),
    ({"resource": "pipeline:etl-42"}, lambda r: True),
    ({"resource": "pipeline"}, lambda r: True),
    ({"resource": "pipeline:etl-4"}, lambda r: False),
    ({"caller": "key:K00000000002"}, lambda r: True),
    ({"caller": "K00000000002"}, lambda r: True),
    ({"caller": "K00000000003"}, lambda r: False),
    ({"decision": "allow", "key": "K00000000003"}, lambda r: r.decision == "allow" and _key(r) == "K00000000003"),
    ({"since": "2027-01-15T08:00:02.010Z"}, lambda r: int(r.at) >= START + 2_010_000_000),
    ({"until": "2027-01-15T08:00:02.010Z"}, lambda r: int(r.at) < START + 2_010_000_000),
    ({"until": "2027-01-15T07:00:00Z"}, lambda r: False),
    ({"since": "2027-01-15T09:00:00Z"}, lambda r: False),
]


@pytest.mark.parametrize(("query", "fits"), FILTERS, ids=lambda value: str(value) if isinstance(value, dict) else "")
def test_filters_all_must_fit(shelf: Shelf, reader: Desk, query: dict[str, str], fits: Any) -> None:
    """Each by itself and together."""
    found = ids_of(pages(reader, limit=3, **query))
    wanted = [r.id for r in reversed(shelf.records) if r.workspace == "acme" and fits(r)]
    assert found == wanted


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"decision": "maybe"}, "invalid_parameter"),
        ({"since": "yesterday"}, "invalid_parameter"),
        ({"rule": "x" * 513}, "invalid_parameter"),
        ({"cursor": "nonsense"}, "invalid_cursor"),
        ({"limit": "0"}, "invalid_limit"),
        ({"order": "oldest"}, "unknown_parameter"),
    ],
)
def test_bad_queries_are_refused_by_code(reader: Desk, query: dict[str, str], code: str) -> None:
    """Each with the code of its mistake."""
    answer = reader.call("GET", "/v1/decisions", params=query)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_lines_that_are_no_records_are_passed_over(shelf: Shelf, reader: Desk) -> None:
    """Malformed, half written, empty: a reader of decisions meets none of them."""
    before = shelf.ids()
    with Segment(shelf.folder, FIRST, 2).plain.open("ab") as file:
        file.write(b'\n{}\n{"at":"x","workspace":"acme"}\n\xff\xfe\n{"at":"1","v":1')
    assert ids_of(pages(reader, limit=2)) == before


def test_no_ledger_is_an_empty_list() -> None:
    """Where nothing was decided yet, nothing was decided."""
    house = House().furnish()
    issued = house.key("acme", principal="auditor", scopes=("decisions:read",))
    house.replica.catch_up()
    with Desk(house, key=issued.text) as desk:
        assert desk.call("GET", "/v1/decisions").json()["data"] == []


def test_a_page_looks_at_a_bounded_number_of_bytes(shelf: Shelf, reader: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends early, empty perhaps, and its cursor goes on."""
    monkeypatch.setattr("policy_service.service.auditing.decision_log.SCANNED", 2000)
    found = pages(reader, rule="locked")
    assert len(found) > 5
    assert ids_of(found) == ["D" + "5".zfill(21)]


def test_the_record_reads_back(shelf: Shelf, reader: Desk) -> None:
    """With nothing lost on the way through HTTP."""
    newest = pages(reader)[0][0]
    assert msgspec.convert(newest, DecisionRecord) == next(r for r in reversed(shelf.records) if r.workspace == "acme")
