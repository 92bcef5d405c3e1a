"""What is proved of a policy holds of every request that is drawn; what is refuted was decided by the engine."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy_service.analysis.judged import Judge
from policy_service.analysis.prove import prove
from policy_service.analysis.situation import Situation
from policy_service.analysis.solving import Budget
from policy_service.analysis.statements import builtin_invariants
from policy_service.engine.decide import decide
from policy_service.language.invariants import Invariant, compile_statement
from policy_service.language.load import load_policy
from policy_service.model.facts import ApiKey
from policy_service.model.spans import Span
from tests.property.condition_pool import EVERYWHERE
from tests.property.drawing import pick
from tests.property.strategies import Case, cases
from tests.worlds import snapshot_of

SETTINGS = settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
MARGINS = ("decision.allowed && ({0})", 'decision.reason == "policy_error" && ({0})', "!decision.allowed && ({0})")


@st.composite
def statements(draw: st.DrawFn) -> str:
    """A statement about decisions that may hold or not."""
    return pick(draw, MARGINS).format(pick(draw, EVERYWHERE))


@SETTINGS
@given(cases(max_requests=8), st.lists(statements(), min_size=2, max_size=4))
def test_no_request_breaks_what_is_proved(case: Case, texts: list[str]) -> None:
    """Random policies, random statements, random facts and requests."""
    policy = load_policy(case.world.files())
    judge = Judge(policy)
    snapshot = snapshot_of(judge.program, case.world.facts)
    own = [
        Invariant(f"s{number}", "", "never", compile_statement(text, policy), None, Span("x"))
        for number, text in enumerate(texts)
    ]
    findings = prove(policy, [*builtin_invariants(policy), *own], Budget(20))
    assert [one.outcome for one in findings[:5]] == ["proved"] * 5
    proved = [one.invariant for one in findings if one.outcome == "proved"]
    assert all(one.witness is not None for one in findings if one.outcome == "refuted")
    odd = [one.why for one in findings if "please report" in " ".join(one.why)]
    assert odd == []
    keys = {fact.id: fact for fact in case.world.facts if isinstance(fact, ApiKey)}
    for request, now in case.asked:
        key = keys.get(request.credential.key_id or "")
        if key is None:
            continue
        facts = (key, *(fact for fact in case.world.facts if fact is not key))
        situation, decision = Situation(request, facts, now), decide(request, snapshot, now)
        for invariant in proved:
            assert judge.statement(invariant.statement, situation, decision) is False, invariant.statement.text
