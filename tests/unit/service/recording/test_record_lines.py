"""What is recorded of a decision, and how large a recorded request may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from policy_service.ledger.codec import decode_record
from policy_service.ledger.record import MAX_REQUEST_BYTES, DecisionRecord, differences, replayed_request
from policy_service.model.api_key import format_api_key
from policy_service.model.errors import RequestError
from policy_service.model.request import MISSING, UNKNOWN, Credential, Request, ResourceRef
from policy_service.service.recording.record_lines import write_request
from tests.reference_records import encode_request, line_of, recorded_request
from tests.unit.service.house import OPERATOR, TENANT, House, ask


def recorded(house: House) -> list[DecisionRecord]:
    """The records of all decisions so far, read back from their lines."""
    found = [decode_record(line_of(decided)) for decided in house.sink.decided]
    assert all(isinstance(record, DecisionRecord) for record in found)
    return found  # type: ignore[return-value]  # as asserted


def request_with(**attributes: Any) -> Request:
    return Request(MISSING, "pipelines:run", ResourceRef("pipeline", "etl", "acme", None, attributes))


def test_a_record_tells_who_asked_what_and_what_came_of_it(house: House) -> None:
    """And names the snapshot that decided: revision and hash of its last change."""
    issued = house.key(cidrs=("203.0.113.0/24",))
    house.replica.catch_up()
    asked = ask(issued.text, source_ip="203.0.113.7", request_id="r-1", trace_id="ab" * 16)
    answered = house.decisions.decide(TENANT, asked).value()
    (record,) = recorded(house)
    assert (record.id, record.at) == (answered.decision_id, str(answered.decision.now))
    assert (record.caller.actor, record.caller.workspace, record.caller.verdict) == (TENANT.actor, "acme", "allowed")
    assert (record.decision, record.reason, record.workspace) == ("allow", "allowed", "acme")
    assert (record.revision, record.chain) == (len(house.store.changes), house.store.changes[-1].hash)
    assert (record.request_id, record.trace_id, record.batch_id, record.explained) == ("r-1", "ab" * 16, None, False)
    assert record.request.credential.key_id == issued.api_key.id
    assert record.facts.key_network == "203.0.113.0/24"
    assert record.facts.key_scopes == ("pipelines:run",)
    assert replayed_request(record) == house.sink.decided[0].request
    assert differences(record, answered.decision) == []


def test_no_form_of_the_secret_is_recorded(house: House) -> None:
    """Neither of a known key nor of an unknown one, which appears as a keyed fingerprint."""
    issued = house.key()
    strange = "psx_" + issued.text[4:16] + "Z" * 22 + issued.text[-6:]
    for key in (issued.text, strange, "nonsense"):
        house.decide(key)
    text = b"\n".join(line_of(decided) for decided in house.sink.decided)
    for key in (issued.text, strange):
        assert key.encode() not in text
        assert key[16:38].encode() not in text
    assert b"nonsense" not in text


def test_where_no_key_was_verified_the_record_is_the_callers_workspaces(house: House) -> None:
    """There is no other that could claim it."""
    house.replica.catch_up()
    house.decisions.decide(TENANT, ask(None)).value()
    (record,) = recorded(house)
    assert (record.workspace, record.principal, record.request.credential.outcome) == ("acme", None, "missing")


def test_each_item_of_a_batch_has_a_record_and_all_share_an_id(house: House) -> None:
    """With the caller's own name for it."""
    key = house.key().text
    house.replica.catch_up()
    house.decisions.decide_batch(OPERATOR, [ask(key, id="a"), ask(None, id="b"), ask(key)]).value()
    house.decisions.explain(OPERATOR, ask(key)).value()
    *batch, explained = recorded(house)
    assert [record.item_id for record in batch] == ["a", "b", None]
    assert len({record.batch_id for record in batch}) == 1
    assert len({record.id for record in batch}) == 3
    assert (explained.batch_id, explained.explained) == (None, True)


def test_a_request_too_large_is_refused_before_it_is_decided(house: House) -> None:
    """413; in a batch it is that item's error. Nothing of it is recorded, and no use of the key is noted."""
    key = house.key().text
    house.replica.catch_up()
    huge = ask(key, context={"note": "x" * MAX_REQUEST_BYTES})
    for use in (house.decisions.decide, house.decisions.explain):
        with pytest.raises(RequestError) as raised:
            use(OPERATOR, huge)
        assert (raised.value.code, raised.value.status) == ("request_too_large", 413)
    assert house.sink.decided == []
    first, second = house.decisions.decide_batch(OPERATOR, [huge, ask(key)]).value()
    assert isinstance(first, RequestError)
    assert first.code == "request_too_large"
    assert not isinstance(second, RequestError)
    assert len(house.sink.decided) == 1


@pytest.mark.parametrize("filling", ["x", "\n", "ü", "🙂", '"'])
def test_the_bound_is_on_the_canonical_form_to_the_byte(filling: str) -> None:
    """Whatever characters fill it: one byte more is refused."""
    empty = len(encode_request(recorded_request(request_with(a=""))))
    width = len(encode_request(recorded_request(request_with(a=filling)))) - empty
    count, rest = divmod(MAX_REQUEST_BYTES - empty, width)
    text = filling * count + "y" * rest
    write_request(request_with(a=text))
    with pytest.raises(RequestError) as raised:
        write_request(request_with(a=text + "y"))
    assert raised.value.details == {"bytes": MAX_REQUEST_BYTES + 1, "limit_bytes": MAX_REQUEST_BYTES}


@pytest.mark.parametrize("filling", ["x", "\0", "🙂"])
def test_a_source_address_counts_whatever_it_holds(filling: str) -> None:
    """It may be any text: the short cut for requests without claims never lets a large one through."""
    for count in range(0, 9000, 37):
        request = Request(UNKNOWN, "pipelines:run", ResourceRef("pipeline", "etl"), filling * count)
        size = len(encode_request(recorded_request(request, "f" * 64)))
        try:
            write_request(request, "f" * 64)
        except RequestError:
            assert size > MAX_REQUEST_BYTES
        else:
            assert size <= MAX_REQUEST_BYTES


@pytest.mark.parametrize("value", ["\ud800", float("nan"), float("inf")])
def test_what_no_json_can_carry_is_refused(value: object) -> None:
    """400: such a request could not be recorded, so it is not decided."""
    with pytest.raises(RequestError) as raised:
        write_request(request_with(a=value))
    assert (raised.value.code, raised.value.status) == ("unrecordable", 400)


KEY = format_api_key("psx", "K00000000001", "s" * 22)
PLACES: list[Callable[[str], tuple[Request, str | None]]] = [
    lambda text: (request_with(note=text), None),
    lambda text: (request_with(**{text: 1}), None),
    lambda text: (request_with(deep=[{"er": [0.5, text]}]), None),
    lambda text: (Request(MISSING, "a:b", ResourceRef("t", "i"), None, {"ticket": text}), None),
    lambda text: (Request(MISSING, "a:b", ResourceRef("t", "i"), text), None),
    lambda text: (Request(MISSING, "a:b", ResourceRef("t", text)), None),
    lambda text: (Request(MISSING, "a:b", ResourceRef("t", "i", None, text)), None),
    lambda text: (Request(MISSING, "a:b", ResourceRef("t", "i")), text),
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", [KEY, f"x{KEY}y", f"Bearer {KEY}", f'"{KEY}"', f"ü_{KEY}", f"a_{KEY}_b"])
def test_a_key_is_refused_in_every_place_where_it_would_be_recorded(
    place: Callable[[str], tuple[Request, str | None]], text: str
) -> None:
    """400, and the message does not repeat it. What only looks like one is anybody's text."""
    request, item_id = place(text)
    with pytest.raises(RequestError) as raised:
        write_request(request, None, item_id)
    assert (raised.value.code, raised.value.status) == ("secret_in_request", 400)
    assert KEY not in str(raised.value)
    request, item_id = place(text.replace("s" * 22, "t" * 22))
    write_request(request, None, item_id)


def test_a_credential_named_without_a_secret_is_recorded_without_a_slot(house: House) -> None:
    """As `Credential` has it, so that a replay asks the same."""
    request = Request(Credential("verified", "K00000000001"), "a:b", ResourceRef("t", "i"))
    assert recorded_request(request).credential.slot is None
    house.decide(None)
    (record,) = recorded(house)
    assert record.request.credential.key_id is None
