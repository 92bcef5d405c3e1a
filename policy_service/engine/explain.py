"""The decision step by step: the same policy walked slowly by the interpreter, every check traced.

It shares the meaning of single values with the compiled chain (standing, endings, attribute checks) and nothing of its
control flow: no index, no generated code.

INVARIANT: its decision equals `decide`'s (test_explain: conformance).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from policy_service.engine.decide import no_policy
from policy_service.engine.endings import ALLOWED_ENDING, CREDENTIAL, Ending
from policy_service.engine.facts_read import Facts
from policy_service.engine.snapshot import Snapshot
from policy_service.engine.steps import Step, ip_allowlist, rbac, revocation, scope, verified, workspace
from policy_service.engine.steps_rules import condition, resource_policy
from policy_service.language.policy import Check, ConditionCheck, Policy
from policy_service.model.decision import CheckTrace, Decision, Explanation
from policy_service.model.request import Request

_STEPS: Final[dict[str, Callable[[Facts], Step]]] = {
    "credential": verified,
    "revocation": revocation,
    "workspace": workspace,
    "scope": scope,
    "rbac": rbac,
    "resource_policy": resource_policy,
    "ip_allowlist": ip_allowlist,
}


def explain(request: Request, snapshot: Snapshot, now: int) -> Explanation:
    """Decide and say why: one trace for every check, in chain order.

    Raises:
        StoreError: `no_policy` where no bundle is active.

    Cost: grows with the number of rules of the resource's type; for people, not for the hot path.
    """
    if snapshot.program is None:
        raise no_policy()
    policy = snapshot.program.policy
    key = snapshot.keys[request.credential.key_id or ""] if request.credential.outcome == "verified" else None
    if key is None or request.credential.slot not in key.slots:
        return _unverified(request, snapshot, policy, now)
    facts = Facts(policy, snapshot, request, key, now)
    ending: Ending | None = None
    traces = []
    for check in policy.chain:
        if ending is not None:
            traces.append(_not_reached(check))
            continue
        step = condition(facts, check) if isinstance(check, ConditionCheck) else _STEPS[check.name](facts)
        ending = step.ending
        traces.append(_trace(check, step))
    return Explanation(
        Decision(*(ending or ALLOWED_ENDING), now, snapshot.revision, policy.digest, *key.identity), tuple(traces)
    )


def _unverified(request: Request, snapshot: Snapshot, policy: Policy, now: int) -> Explanation:
    """No key of this snapshot was shown: nothing but the first check is reached."""
    ending = CREDENTIAL[request.credential.outcome]
    first = Step("failed", ending, ending[3], {"outcome": request.credential.outcome})
    traces = (_trace(policy.chain[0], first), *(_not_reached(check) for check in policy.chain[1:]))
    return Explanation(Decision(*ending, now, snapshot.revision, policy.digest), traces)


def _trace(check: Check, step: Step) -> CheckTrace:
    reason, rule = (None, None) if step.ending is None else (step.ending[1], step.ending[5])
    return CheckTrace(_kind(check), check.name, step.outcome, reason, rule, step.detail, step.values)


def _not_reached(check: Check) -> CheckTrace:
    return CheckTrace(_kind(check), check.name, "not_reached", detail="An earlier check has already denied.")


def _kind(check: Check) -> str:
    return "condition" if isinstance(check, ConditionCheck) else check.name
