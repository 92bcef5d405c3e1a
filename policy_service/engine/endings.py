"""How a chain can end: the first six fields of a Decision, from `allowed` to `rule`.

Written into the generated module as literals, and used as they are by explain: one place says what each denial is.
"""

from __future__ import annotations

from typing import Final

from policy_service.language.policy import ConditionCheck, Rule
from policy_service.model.reasons import ALLOWED, POLICY_ERROR, REASONS

Ending = tuple[bool, str, int, str, str | None, str | None]
"""`(allowed, reason, http_status, message, check, rule)`"""

ALLOWED_ENDING: Final[Ending] = (True, ALLOWED, 200, REASONS[ALLOWED].message, None, None)


def builtin(reason: str) -> Ending:
    """A denial for one of the built-in reasons that belong to one check."""
    known = REASONS[reason]
    return (False, reason, known.http_status, known.message, known.check, None)


CREDENTIAL: Final[dict[str, Ending]] = {
    "missing": builtin("missing_credentials"),
    "malformed": builtin("malformed_key"),
    "unknown": builtin("unknown_key"),
    # A key, or a secret of it, that this snapshot does not have.
    "verified": builtin("unknown_key"),
}
"""By credential outcome; `verified` stands here for a key or slot that is not in the snapshot."""

RESOURCE_NOT_ALLOWED: Final = builtin("resource_not_allowed")


def rule_denial(rule: Rule) -> Ending:
    """What a satisfied deny rule answers."""
    reason = rule.reason or "resource_denied"
    message = rule.message or REASONS["resource_denied"].message
    return (False, reason, 403, message, "resource_policy", rule.name)


def rule_fault(name: str) -> Ending:
    """What a deny rule that could not be evaluated answers."""
    message = f"The rule `{name}` could not be evaluated, so the request is denied."
    return (False, POLICY_ERROR, 403, message, "resource_policy", name)


def condition_denial(check: ConditionCheck) -> Ending:
    """What a condition check with an unsatisfied `require` answers."""
    message = check.message or f"The condition `{check.name}` is not met."
    return (False, check.reason, 403, message, "condition", check.name)


def condition_fault(name: str) -> Ending:
    """What a condition check that could not be evaluated answers."""
    message = f"The condition `{name}` could not be evaluated, so the request is denied."
    return (False, POLICY_ERROR, 403, message, "condition", name)
