"""A record is enough: whatever was decided is decided again from its line, equally."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from policy_service.engine.decide import decide
from policy_service.engine.program import Sight
from policy_service.engine.seen import seen, seen_part
from policy_service.engine.snapshot import Snapshot
from policy_service.ledger.codec import decode_record, encode_record
from policy_service.ledger.record import DecisionRecord, RecordedFacts, differences, replayed_request
from policy_service.model.decision import Decision
from policy_service.model.request import Credential, Request
from policy_service.service.caller import local_caller
from policy_service.service.ports import Decided
from policy_service.service.recording.record_lines import write_request
from tests.property.records import claims, maybe
from tests.property.strategies import Case, cases
from tests.reference_records import line_of, record_of
from tests.worlds import program_of, snapshot_of

CALLER = local_caller(0)


def decided(request: Request, snapshot: Snapshot, decision: Decision) -> Decided:
    """A decision as the service has it recorded."""
    return Decided(
        decision_id="D" * 22,
        caller=CALLER,
        request=request,
        decision=decision,
        chain=snapshot.chain_hash,
        asked=write_request(request),
        facts=seen_part(request, snapshot, decision, Sight()),
    )


def as_asked(case: Case, snapshot: Snapshot) -> list[tuple[Request, int]]:
    """Requests as the service makes them: a key is named only where it is verified, and only one that is there."""
    return [(request, now) for request, now in case.asked if is_possible(request.credential, snapshot)]


def is_possible(shown: Credential, snapshot: Snapshot) -> bool:
    """Whether checking a presented key can come to this."""
    if shown.key_id is None or shown.outcome != "verified":
        return shown.key_id is None
    key = snapshot.keys.get(shown.key_id)
    return key is not None and shown.slot in key.slots


@given(cases())
def test_every_decision_is_decided_again_equally_from_its_line(case: Case) -> None:
    """On a snapshot made anew, as a replay has it."""
    program = program_of(case.world.files())
    snapshot, again = snapshot_of(program, case.world.facts), snapshot_of(program, case.world.facts)
    for request, now in as_asked(case, snapshot):
        record = decode_record(line_of(decided(request, snapshot, decide(request, snapshot, now))))
        assert isinstance(record, DecisionRecord)
        replayed = replayed_request(record)
        assert replayed == request
        decision = decide(replayed, again, int(record.at))
        assert differences(record, decision) == []
        assert (record.revision, record.chain) == (again.revision, again.chain_hash)
        derived = record_of(decided(replayed, again, decision), seen(replayed, again, decision))
        assert derived.facts == record.facts
        assert encode_record(derived) == encode_record(record)


@given(cases(), st.data())
def test_lines_made_of_parts_are_the_lines_of_records(case: Case, data: st.DataObject) -> None:
    """Whatever else stands in them: names, fingerprints, doubles."""
    snapshot = snapshot_of(program_of(case.world.files()), case.world.facts)
    for request, now in case.asked:
        one = decided(request, snapshot, decide(request, snapshot, now))
        one = msgspec.structs.replace(
            one,
            batch_id=data.draw(maybe),
            item_id=data.draw(maybe),
            request_id=data.draw(maybe),
            trace_id=data.draw(maybe),
            key_fingerprint=data.draw(maybe),
            explained=data.draw(st.booleans()),
            request=msgspec.structs.replace(request, context=data.draw(claims)),
        )
        one = msgspec.structs.replace(one, asked=write_request(one.request, one.key_fingerprint))
        assert line_of(one) == encode_record(record_of(one, seen(request, snapshot, one.decision)))


@given(cases())
def test_a_record_holds_nothing_that_its_workspace_may_not_see(case: Case) -> None:
    """Facts are shown only where a key was verified, and then they are its workspace's."""
    snapshot = snapshot_of(program_of(case.world.files()), case.world.facts)
    for request, now in case.asked:
        record = decode_record(line_of(decided(request, snapshot, decide(request, snapshot, now))))
        assert isinstance(record, DecisionRecord)
        if record.principal is None:
            assert record.facts == RecordedFacts(address=record.facts.address)
            assert record.workspace == CALLER.workspace
