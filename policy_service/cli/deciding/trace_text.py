"""An explanation as lines for a person: every check that was reached, and what the rules and conditions looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from policy_service.model.decision import CheckTrace, Explanation

Line = tuple[str, str]
"""A text and its style."""

_STYLES = {"passed": "", "not_applicable": "dim", "failed": "red", "faulted": "magenta"}
_MARKS = {"passed": "✓", "not_applicable": "-", "failed": "✗", "faulted": "!"}


def trace_lines(explanation: Explanation) -> Iterator[Line]:
    """Checks in chain order, up to the one that denied."""
    reached = [trace for trace in explanation.checks if trace.outcome != "not_reached"]
    width = max((len(trace.name) for trace in reached), default=0)
    for trace in reached:
        yield f"{_MARKS[trace.outcome]} {trace.name:{width}}  {trace.detail}", _STYLES[trace.outcome]
        for line in _judged(trace):
            yield f"{'':{width + 4}}{line}", "dim"


def _judged(trace: CheckTrace) -> Iterator[str]:
    """The rules and conditions that a check evaluated."""
    for rule in trace.values.get("rules", ()):
        yield f"{rule['effect']} {rule['rule']}: {_outcome(rule)}"
    for name in ("when", "require"):
        if name in trace.values:
            yield f"{name}: {_outcome(trace.values[name])}"


def _outcome(judged: dict[str, Any]) -> str:
    fault = f", {judged['fault']['message']}" if "fault" in judged else ""
    reads = ", ".join(f"{path} {_value(value)}" for path, value in judged.get("reads", {}).items())
    return f"{judged['outcome']}{fault}{f'; {reads}' if reads else ''}"


def _value(shown: dict[str, Any]) -> str:
    if "absent" in shown:
        return "is absent"
    if "wrong_type" in shown:
        return "is of the wrong type"
    return f"= {json.dumps(shown['value'], ensure_ascii=False)}"
