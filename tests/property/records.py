"""Drawn records: any that the types allow, and the values that people may make up in one."""

from __future__ import annotations

from hypothesis import strategies as st

from policy_service.ledger.record import (
    DecisionRecord,
    RecordedCredential,
    RecordedFacts,
    RecordedPrincipal,
    RecordedResource,
)
from tests.unit.ledger.records import a_record, a_request

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
floats = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers() | st.integers(-(1 << 70), 1 << 70)
values = st.recursive(
    st.none() | st.booleans() | integers | floats | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
claims = st.dictionaries(texts, values, max_size=4)
maybe = st.none() | texts
names = st.none() | st.lists(texts, max_size=4).map(tuple)


@st.composite
def records(draw: st.DrawFn) -> DecisionRecord:
    """Any record that the types allow."""
    resource = RecordedResource(
        type=draw(texts), id=draw(texts), workspace=draw(maybe), owner=draw(maybe), attributes=draw(claims)
    )
    credential = RecordedCredential(
        outcome=draw(st.sampled_from(["missing", "malformed", "unknown", "verified"])),
        key_id=draw(maybe),
        slot=draw(st.none() | st.integers(1, 9)),
        fingerprint=draw(maybe),
    )
    request = a_request(
        credential=credential, resource=resource, scope=draw(texts), source_ip=draw(maybe), context=draw(claims)
    )
    facts = RecordedFacts(
        key_scopes=draw(names),
        teams=draw(names),
        roles=draw(names),
        registered=draw(st.none() | st.booleans()),
        owner=draw(maybe),
        attributes=draw(st.none() | claims),
        address=draw(maybe),
        allowlist_network=draw(maybe),
        key_network=draw(maybe),
    )
    return a_record(
        request=request,
        facts=facts,
        item_id=draw(maybe),
        batch_id=draw(maybe),
        rule=draw(maybe),
        principal=draw(st.none() | st.builds(RecordedPrincipal, kind=texts, id=texts)),
        explained=draw(st.booleans()),
        revision=draw(st.integers(0, 1 << 62)),
    )
