"""Theorems about the decision as a whole."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_service.engine.decide import decide
from policy_service.engine.emit import emit
from policy_service.engine.explain import explain
from policy_service.language.load import load_policy
from policy_service.model.decision import Explanation
from policy_service.model.reasons import REASONS
from policy_service.model.request import Request
from tests.oracle import oracle
from tests.oracle.rule_files import RuleFiles
from tests.property.judging import judged, verdict_of
from tests.property.policies import documents, render
from tests.property.strategies import Case, cases
from tests.worlds import Feed, activation, fold, program_of, snapshot_of


def expected(case: Case) -> list[oracle.Verdict]:
    """The oracle's verdicts."""
    rules = RuleFiles(case.world.files())
    return [oracle.Oracle(rules, case.world.facts, request, now).verdict() for request, now in case.asked]


@given(cases())
def test_the_compiled_chain_decides_as_the_oracle_does(case: Case) -> None:
    """Reason, check, rule and status are equal, faults included."""
    assert judged(case.world.documents, case.world.facts, case.asked) == expected(case)


def test_every_built_in_reason_is_reached() -> None:
    """What is never drawn is never tested: each built-in reason is among the decisions compared and explained."""
    seen: Counter[str] = Counter()

    @settings(max_examples=400, derandomize=True, database=None)
    @given(cases())
    def collect(case: Case) -> None:
        snapshot = snapshot_of(program_of(case.world.files()), case.world.facts)
        verdicts = [verdict_of(decide(request, snapshot, now)) for request, now in case.asked]
        assert verdicts == expected(case)
        assert verdicts == [verdict_of(explain(request, snapshot, now).decision) for request, now in case.asked]
        seen.update(verdict.reason for verdict in verdicts)

    collect()
    assert set(REASONS) - set(seen) == set()
    assert {"locked", "not_today", "freeze_now", "hours_now"} <= set(seen), "authors' own codes"


@given(cases())
def test_explain_never_disagrees_with_decide(case: Case) -> None:
    """The same decision to the last field; and the trace tells the same story."""
    snapshot = snapshot_of(program_of(case.world.files()), case.world.facts)
    for request, now in case.asked:
        decision = decide(request, snapshot, now)
        explanation = explain(request, snapshot, now)
        assert explanation.decision == decision
        check_trace(explanation, chain_length=len(case.world.documents["chain.yaml"]["chain"]))


def check_trace(explanation: Explanation, *, chain_length: int) -> None:
    """Passed up to the check that denied, not reached after it."""
    outcomes = [trace.outcome for trace in explanation.checks]
    assert len(outcomes) == chain_length
    if explanation.decision.allowed:
        assert set(outcomes) <= {"passed", "not_applicable"}
        return
    at = next(i for i, outcome in enumerate(outcomes) if outcome in ("failed", "faulted"))
    assert set(outcomes[:at]) <= {"passed", "not_applicable"}
    assert set(outcomes[at + 1 :]) <= {"not_reached"}
    denial, decision = explanation.checks[at], explanation.decision
    assert (denial.check, denial.reason, denial.rule) == (decision.check, decision.reason, decision.rule)
    assert (denial.outcome == "faulted") == (decision.reason == "policy_error")
    msgspec.json.encode(explanation)


@given(cases(max_requests=3))
def test_the_same_record_replays_to_the_same_decision(case: Case) -> None:
    """Request, changes and time, written down and read again, decide as they did."""
    program = program_of(case.world.files())
    feed = Feed()
    for fact in case.world.facts:
        feed.put(fact)
    feed.put(*activation(program))
    then, again = fold(feed.changes, program), fold(feed.changes, program_of(case.world.files()))
    for request, now in case.asked:
        decision = decide(request, then, now)
        recorded = msgspec.convert(msgspec.to_builtins(request), Request)
        assert decide(recorded, again, now) == decision
        assert (decision.now, decision.revision, decision.bundle) == (now, len(feed.changes), program.digest)


@given(documents(), st.randoms(use_true_random=False))
def test_the_same_policy_is_emitted_as_the_same_text(drawn: dict[str, dict[str, object]], random: object) -> None:
    """Whatever the order of files: text, label and digest are the same."""
    files = list(render(drawn).items())
    first = emit(load_policy(dict(files)))
    random.shuffle(files)  # type: ignore[attr-defined]
    second = emit(load_policy(dict(files)))
    assert (first.parts, first.label) == (second.parts, second.label)
    assert first.policy.digest == second.policy.digest
