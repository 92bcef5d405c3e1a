"""Conditions built by hand, and asking both of the engine's voices at once."""

from __future__ import annotations

from policy_service.engine.decide import decide
from policy_service.engine.explain import explain
from policy_service.language.ir import BOOL, STRING, Call, Condition, Const, Has, Read, Type
from policy_service.model.decision import Decision
from policy_service.model.request import Request
from tests.unit.engine.worlds import NOW, World


def is_true(path: str) -> Condition:
    """Satisfied, unsatisfied or faulting, as the boolean at `path` is true, false or unreadable."""
    return Condition(path, Read(type=BOOL, path=path))


def has(path: str) -> Condition:
    return Condition(f"has({path})", Has(type=BOOL, path=path))


def equals(path: str, value: str | float, declared: Type = STRING) -> Condition:
    """`path == value`; a fault where the path cannot be read."""
    literal = Const(type=declared, value=value)
    call = Call(type=BOOL, overload="equals", args=(Read(type=declared, path=path), literal))
    return Condition(f"{path} == {value!r}", call)


def within(item: str, path: str) -> Condition:
    """`item in path`, for a list of strings."""
    args = (Const(type=STRING, value=item), Read(type=Type("list", STRING), path=path))
    return Condition(f"{item!r} in {path}", Call(type=BOOL, overload="in_list", args=args))


def answer(world: World, request: Request, now: int = NOW) -> Decision:
    """The decision; that of explain is the same, and its traces tell the same story."""
    decision = decide(request, world.snapshot, now)
    explanation = explain(request, world.snapshot, now)
    assert explanation.decision == decision
    denying = [trace for trace in explanation.checks if trace.reason is not None]
    if decision.allowed:
        assert denying == []
        assert {trace.outcome for trace in explanation.checks} <= {"passed", "not_applicable"}
    else:
        assert [(trace.reason, trace.rule, trace.check) for trace in denying] == [
            (decision.reason, decision.rule, decision.check)
        ]
        place = explanation.checks.index(denying[0])
        assert denying[0].outcome in ("failed", "faulted")
        assert {trace.outcome for trace in explanation.checks[:place]} <= {"passed", "not_applicable"}
        assert {trace.outcome for trace in explanation.checks[place + 1 :]} <= {"not_reached"}
    return decision
