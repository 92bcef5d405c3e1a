"""Three outcomes: proved, refuted by a request that the engine decided, undecided with the reason named."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_service.analysis.prove import prove
from policy_service.analysis.solving import Budget
from policy_service.analysis.statements import builtin_invariants
from policy_service.language.invariants import load_invariants
from policy_service.language.load import load_policy
from policy_service.model.facts import Membership, RoleBinding
from policy_service.service.policies.policy_folder import read_folder
from tests.unit.analysis.policies import files, proved, statement

SHIPPED = Path(__file__).parents[3] / "policies"


def test_all_that_the_shipped_policy_promises_is_proved() -> None:
    """The five built-in invariants, and those of policies/invariants.yaml."""
    given = read_folder(SHIPPED)
    policy = load_policy(given)
    own = load_invariants(given, policy)
    assert own.diagnostics == ()
    findings = prove(policy, (*builtin_invariants(policy), *own.invariants), Budget(30))
    assert [one.invariant.name for one in findings if one.outcome != "proved"] == []
    assert len(findings) >= 9


def test_a_counterexample_is_complete_and_decided() -> None:
    """Key, principal, teams, roles, resource, address, time; and what the engine says of it."""
    rules = '[{name: prod, effect: deny, when: \'resource.attr.env == "prod" && !("ops" in principal.teams)\'}]'
    never = 'decision.allowed && key.kind == "user" && resource.attr.env == "prod"'
    finding = proved(files(rules, invariants=statement(never, resource="pipeline")))
    assert finding.outcome == "refuted"
    witness = finding.witness
    assert witness is not None
    assert witness.decision.allowed
    facts = witness.situation.facts
    assert [fact.team for fact in facts if isinstance(fact, Membership)] == ["ops"]
    assert len([fact for fact in facts if isinstance(fact, RoleBinding)]) == 1
    assert witness.situation.request.source_ip is not None


def test_what_a_rule_forbids_is_proved() -> None:
    """The rule's own condition, seen from outside."""
    rules = "[{name: prod, effect: deny, when: 'resource.attr.env == \"prod\"'}]"
    never = 'decision.allowed && has(resource.attr.env) && resource.attr.env == "prod"'
    assert proved(files(rules, invariants=statement(never, resource="pipeline"))).outcome == "proved"


def test_a_statement_that_faults_is_refuted() -> None:
    """Nobody could say that it holds: here the address may be absent."""
    finding = proved(files(invariants=statement('decision.allowed && request.ip.inCidr("10.0.0.0/8")')))
    assert finding.outcome == "refuted"


def test_always_is_refuted_by_a_denial_as_well() -> None:
    """`always` speaks of every decision, denials among them."""
    finding = proved(files(invariants=statement("decision.allowed", "always")))
    assert finding.outcome == "refuted"
    assert finding.witness is not None
    assert not finding.witness.decision.allowed


def test_statements_on_reasons_and_rules() -> None:
    """A rule that never decides is proved never to."""
    rules = "[{name: a, effect: deny, when: 'true'}, {name: b, effect: deny, when: 'resource.id == \"x\"'}]"
    assert proved(files(rules, invariants=statement('decision.rule == "b" && has(decision.rule)'))).outcome == "proved"
    never = 'has(decision.rule) && decision.rule == "a"'
    finding = proved(files(rules, invariants=statement(never)))
    assert finding.witness is not None
    assert finding.witness.decision.rule == "a"


def test_an_unsupported_construct_is_named() -> None:
    """Never skipped: the outcome is `undecided`, with what has no formula and where it stands."""
    rules = "[{name: odd, effect: deny, when: 'int(resource.attr.env) > 3'}]"
    never = 'decision.allowed && has(resource.attr.env) && resource.attr.env == "zz"'
    finding = proved(files(rules, invariants=statement(never, resource="pipeline")))
    assert finding.outcome == "undecided"
    assert finding.why == ("`int()` of a string has no formula (resources/pipeline.yaml:4, `odd`)",)


def test_an_unsupported_construct_elsewhere_does_not_spoil_a_proof() -> None:
    """What has no formula is taken for open; what holds all the same is proved."""
    rules = "[{name: odd, effect: deny, when: 'int(resource.attr.env) > 3'}]"
    assert proved(files(rules, invariants=statement("decision.allowed && facts.revoked"))).outcome == "proved"


def test_no_time_is_undecided() -> None:
    """A time-out is never a proof."""
    finding = proved(files(invariants=statement("decision.allowed && facts.revoked")), seconds=0.0)
    assert (finding.outcome, finding.why) == ("undecided", ("the time of 0 s was not enough",))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("invariants: [{name: a, never: decision.allowd}]", "invariants.yaml:1:40"),
        ("invariants: [{name: a}]", "invariants.yaml:1:14"),
        ("invariants: [{name: a, never: 'true', always: 'true'}]", "invariants.yaml:1:14"),
        ("invariants: [{name: a, resource: pipelin, never: 'true'}]", "invariants.yaml:1:34"),
        ("invariants: [{name: a, never: 'true'}, {name: a, never: 'true'}]", "invariants.yaml:1:47"),
        ("invariants: 3", "invariants.yaml:1:13"),
        ("invariant: []", "invariants.yaml:1:1"),
        ("invariants: [", "invariants.yaml:1"),
        ("invariants: [{name: A, never: 'true'}]", "invariants.yaml:1:21"),
        ("invariants: [{name: a, never: resource.attr.env == 'x'}]", "invariants.yaml:1"),
    ],
)
def test_a_broken_file_is_diagnosed_at_its_place(text: str, place: str) -> None:
    """Never a traceback, never a conclusion."""
    policy = load_policy(files())
    loaded = load_invariants({"invariants.yaml": text}, policy)
    assert loaded.invariants == ()
    assert any(str(one).startswith(place) for one in loaded.diagnostics), [str(one) for one in loaded.diagnostics]


def test_invariants_do_not_count_in_the_digest() -> None:
    """They say what a policy promises; they decide nothing."""
    assert load_policy(files()).digest == load_policy(files(invariants=statement("true"))).digest
