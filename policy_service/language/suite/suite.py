"""The Suite: what a folder of test files means. Typed, immutable; whoever runs it knows nothing of YAML."""

from __future__ import annotations

import msgspec

from policy_service.language.policy import Effect
from policy_service.model.facts import Fact
from policy_service.model.request import Request
from policy_service.model.spans import Diagnostic, Span


class Expected(msgspec.Struct, frozen=True):
    """What a case must come to.

    Args:
        reason, rule: None where the author does not say: any will do.
        is_listed: False for a combination that no `expect` entry is about. It must be denied.
    """

    decision: Effect
    reason: str | None = None
    rule: str | None = None
    is_listed: bool = True

    def is_met_by(self, *, allowed: bool, reason: str, rule: str | None) -> bool:
        """Whether a decision is the expected one."""
        if allowed != (self.decision == "allow"):
            return False
        return self.reason in (None, reason) and self.rule in (None, rule)


class Case(msgspec.Struct, frozen=True):
    """One combination of a test: who, scope, resource and address as the author named them, and what it must come to.

    Args:
        address: None: the request has none.
        place: of the `expect` entry, or of the test where none is about this combination.
    """

    who: str
    scope: str
    resource: str
    address: str | None
    request: Request
    expected: Expected
    place: Span

    @property
    def label(self) -> str:
        """One line for people: `ada · pipelines:run · pipeline:orders · 203.0.113.7`."""
        return " · ".join((self.who, self.scope, self.resource, *((self.address,) if self.address is not None else ())))


class SuiteTest(msgspec.Struct, frozen=True):
    """One entry of `tests:`. `facts` are those of the file, of the shared file and its own; `now` is in nanoseconds."""

    name: str
    place: Span
    now: int
    facts: tuple[Fact, ...]
    cases: tuple[Case, ...]

    @property
    def id(self) -> str:
        """`tests/pipelines.yaml: the name`."""
        return f"{self.place.file}: {self.name}"


class LoadedSuite(msgspec.Struct, frozen=True):
    """What test files came to. With an error among the diagnostics nothing of them should be run."""

    tests: tuple[SuiteTest, ...]
    diagnostics: tuple[Diagnostic, ...]

    def has_errors(self) -> bool:
        """Whether the files have mistakes that are more than doubtful."""
        return any(diagnostic.severity == "error" for diagnostic in self.diagnostics)
