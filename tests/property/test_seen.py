"""What records show of the facts is what explanations show of them."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given

from policy_service.engine.decide import decide
from policy_service.engine.explain import explain
from policy_service.engine.program import Sight
from policy_service.engine.seen import Seen, seen, seen_part
from policy_service.engine.snapshot import Snapshot
from policy_service.ledger.lines import write_part
from policy_service.model.address import Network, address_point, address_text, parse_network
from policy_service.model.canonical import canonical_text
from policy_service.model.request import Request
from tests.property.strategies import Case, cases
from tests.worlds import program_of, snapshot_of


def shown(request: Request, snapshot: Snapshot, now: int) -> dict[str, dict[str, Any]]:
    """The values of every check that was reached, by check."""
    return {trace.name: trace.values for trace in explain(request, snapshot, now).checks if trace.values}


def narrowest(cidrs: list[str]) -> str | None:
    """Of the CIDRs around an address, the smallest."""
    sizes = [(net.last - net.first, text) for text in cidrs if isinstance(net := parse_network(text), Network)]
    return min(sizes)[1] if sizes else None


@given(cases())
def test_what_was_seen_is_what_explanations_show(case: Case) -> None:
    snapshot = snapshot_of(program_of(case.world.files()), case.world.facts)
    for request, now in case.asked:
        found = seen(request, snapshot, decide(request, snapshot, now))
        values = shown(request, snapshot, now)
        if "workspace" in values:
            assert found.registered == values["workspace"]["registered"]
        if "scope" in values:
            assert list(found.key_scopes or ()) == values["scope"]["key_scopes"]
        if "roles" in values.get("rbac", {}):
            assert list(found.roles or ()) == values["rbac"]["roles"]
            assert list(found.teams or ()) == values["rbac"]["teams"]
        if "ip_allowlist" in values:
            assert found.allowlist_network == narrowest(values["ip_allowlist"]["allowlist_matches"])
            assert found.key_network == narrowest(values["ip_allowlist"]["key_cidrs_matches"])


@given(cases())
def test_an_address_is_shown_in_its_canonical_text_and_only_when_it_is_one(case: Case) -> None:
    snapshot = snapshot_of(program_of(case.world.files()), case.world.facts)
    for request, now in case.asked:
        point = None if request.source_ip is None else address_point(request.source_ip)
        expected = None if point is None else address_text(point)
        assert seen(request, snapshot, decide(request, snapshot, now)).address == expected


@given(cases())
def test_nothing_of_any_workspace_is_shown_where_no_key_was_verified(case: Case) -> None:
    snapshot = snapshot_of(program_of(case.world.files()), case.world.facts)
    for request, now in case.asked:
        decision = decide(request, snapshot, now)
        found = seen(request, snapshot, decision)
        if decision.key_id is None:
            assert found == Seen(address=found.address)
        else:
            assert found.registered is not None
            assert found.key_scopes == snapshot.keys[decision.key_id].scopes


@given(cases())
def test_what_is_kept_between_decisions_changes_nothing(case: Case) -> None:
    """Asked again, or of a snapshot made anew, it says the same."""
    snapshot = snapshot_of(program_of(case.world.files()), case.world.facts)
    for request, now in case.asked:
        fresh = snapshot_of(program_of(case.world.files()), case.world.facts)
        decision = decide(request, snapshot, now)
        first = seen(request, snapshot, decision)
        assert first == seen(request, snapshot, decision) == seen(request, fresh, decide(request, fresh, now))
        assert msgspec.json.decode(msgspec.json.encode(first), type=Seen) == first


@given(cases())
def test_the_part_of_a_line_says_what_the_values_say(case: Case) -> None:
    """In canonical JSON, without the members that are None; from what the decision left behind, or looked up anew."""
    snapshot = snapshot_of(program_of(case.world.files()), case.world.facts)
    for request, now in [*case.asked, *case.asked]:
        sight = Sight()
        decision = decide(request, snapshot, now, sight)
        assert (sight.key is not None) == decision.allowed
        assert decision == decide(request, snapshot, now)
        values = msgspec.to_builtins(seen(request, snapshot, decision))
        told = canonical_text({name: value for name, value in values.items() if value is not None}).encode()
        for one in (sight, Sight()):
            assert write_part(seen_part(request, snapshot, decision, one)) == told
