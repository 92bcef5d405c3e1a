"""What is answered: a decision, and its explanation step by step."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

SEMANTICS = 1
"""The version of the engine's meaning; an integer in every record. It changes when any decision could."""

Outcome = Literal["passed", "failed", "faulted", "not_applicable", "not_reached"]


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The result of `decide(request, snapshot, now)`. A denial is a value, never an exception.

    Args:
        allowed: True for allow. An allow says nothing about any later moment.
        reason: the stable machine-readable code; `allowed` when allowed.
        check: the check that denied; None when allowed.
        rule: the rule or condition that denied, by name; None where a built-in reason needs none.
        message: for people.
        now: the instant decided for, nanoseconds UTC.
        key_id, principal_kind, principal_id, workspace: of the key; None while no key was verified.
    """

    allowed: bool
    reason: str
    http_status: int
    message: str
    check: str | None
    rule: str | None
    now: int
    revision: int
    bundle: str
    key_id: str | None = None
    principal_kind: str | None = None
    principal_id: str | None = None
    workspace: str | None = None


class CheckTrace(msgspec.Struct, frozen=True):
    """One check of the chain, explained.

    Args:
        check: its kind, such as `scope` or `condition`.
        name: the condition's name; for built-in checks the same as `check`.
        detail: one sentence for people.
        values: the values it looked at, JSON-ready; never a secret.
    """

    check: str
    name: str
    outcome: Outcome
    reason: str | None = None
    rule: str | None = None
    detail: str = ""
    values: dict[str, Any] = {}


class Explanation(msgspec.Struct, frozen=True):
    """A decision with the trace of every check of the chain, in chain order."""

    decision: Decision
    checks: tuple[CheckTrace, ...]
