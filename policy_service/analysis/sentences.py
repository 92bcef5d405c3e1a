"""A decision in sentences, for people: who asked what, what each check found, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from policy_service.model.decision import CheckTrace, Explanation
from policy_service.model.instants import format_rfc3339
from policy_service.model.request import Request


def sentences(request: Request, explanation: Explanation) -> Iterator[str]:
    """Who asked what, what each check found, and what came of it."""
    decision = explanation.decision
    who = (
        f"The {decision.principal_kind} key {decision.key_id} of {decision.principal_id}"
        if decision.key_id
        else "Nobody"
    )
    place = f"{request.resource.type}:{request.resource.id}"
    address = f" from {request.source_ip}" if request.source_ip is not None else ""
    yield f"{who} asks for {request.scope} on {place}{address} at {format_rfc3339(decision.now)}."
    for check in explanation.checks:
        if check.outcome in ("passed", "failed", "faulted"):
            yield f"  {_MARKS[check.outcome]} {check.name}: {check.detail}"
            yield from (f"      {line}" for line in _rules(check))
    yield f"So it is {'allowed' if decision.allowed else f'denied, with {decision.reason}: {decision.message}'}"


_MARKS: Final = {"passed": "✓", "failed": "✗", "faulted": "!"}


def _rules(check: CheckTrace) -> Iterator[str]:
    """What each rule came to, and because of which values."""
    for rule in check.values.get("rules", ()):
        read = ", ".join(f"{path} {_shown(value)}" for path, value in rule.get("reads", {}).items())
        because = f", since {read}" if read else ""
        fault = f": {rule['fault']['message']}" if "fault" in rule else ""
        yield f"The {rule['effect']} rule {rule['rule']} is {rule['outcome']}{fault}{because}."


def _shown(value: dict[str, Any]) -> str:
    if "value" in value:
        return f"is {msgspec.json.encode(value['value']).decode()}"
    return "is absent" if "absent" in value else "is of the wrong type"
