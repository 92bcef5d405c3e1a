"""A finding, the codes that there are, and collecting them."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from policy_service.model.spans import Diagnostic, Span

CODES: Final[dict[str, str]] = {
    "broad-cidr": "a network that is most of the internet",
    "contained-cidr": "a CIDR inside another one of its network",
    "contained-pattern": "a resource id that another pattern of the rule covers",
    "constant-condition": "a condition that reads nothing",
    "empty-role": "a role that grants nothing",
    "implied-twice": "a scope or role that comes along with another one of the list",
    "impossible-value": "a comparison with something that it can never be",
    "inert-allow": "an allow rule where the default allows already",
    "lone-value": "a value that stands nowhere else, much like one that does",
    "missing-description": "a scope or role that nobody explains",
    "missing-message": "a deny rule or condition with its own reason and no message",
    "never-allowed-scope": "a scope that no allow rule is about, where nothing is allowed without one",
    "scope-without-policy": "a scope on types without a policy",
    "twin-rule": "two rules that say the same",
    "ungranted-scope": "a scope that no role grants",
    "unused-attribute": "an attribute, or member of the context, that no condition reads",
    "unused-network": "a network that no condition names",
    # Found by the solver, see `Prover`.
    "always-satisfied": "a condition that is satisfied whatever the request",
    "never-satisfied": "a condition that no request satisfies",
    "always-faulting": "a condition that faults whatever the request",
    "unreachable-rule": "a rule that never decides anything, for no request reaches it",
    "shadowed-rule": "a rule that changes nothing, for others decide first",
    # About silencing itself; these cannot be silenced.
    "idle-silence": "a comment that silences nothing",
    "silence-without-reason": "a comment that silences without a reason",
    "unknown-code": "a comment that silences a code that there is not",
}
"""Every code with what it is about; docs/lint.md explains each."""

PROVED: Final = frozenset(
    {"always-satisfied", "never-satisfied", "always-faulting", "unreachable-rule", "shadowed-rule"}
)
"""Those that take a proof: without one nobody knows whether there is such a thing."""

UNSILENCEABLE: Final = frozenset({"idle-silence", "silence-without-reason", "unknown-code"})


class Edit(msgspec.Struct, frozen=True, order=True):
    """A stretch of a file's text to be replaced. `start` and `end` in code points, without a byte order mark."""

    start: int
    end: int
    text: str = ""


class Finding(msgspec.Struct, frozen=True):
    """One thing to look at. `fix`: an edit after which it is gone and the policy means the same; None where none is."""

    diagnostic: Diagnostic
    fix: Edit | None = None

    @property
    def code(self) -> str:
        """One of CODES."""
        return self.diagnostic.code


class Placed(Protocol):
    """Something that stands in a rule file."""

    @property
    def path(self) -> str:
        """JSON path inside the file."""

    def span(self) -> Span:
        """Where it stands."""


class Findings:
    """Collects them."""

    def __init__(self) -> None:
        self._found: list[Finding] = []

    def add(self, code: str, message: str, place: Placed, fix: Edit | None = None) -> None:
        """Note one, at a place in a rule file."""
        assert code in CODES, code
        diagnostic = Diagnostic(code, message, place.span(), place.path, "warning")
        self._found.append(Finding(diagnostic, fix))

    def sorted(self) -> tuple[Finding, ...]:
        """In reading order."""
        return tuple(sorted(self._found, key=lambda finding: finding.diagnostic.sort_key()))
