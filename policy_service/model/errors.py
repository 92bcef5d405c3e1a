"""The errors people see. A denial is never one of them: it is a value.

Every error carries a stable `code` and a one-line lowercase message that names the remedy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from policy_service.model.spans import Diagnostic


class PolicyServiceError(Exception):
    """Base of all errors of this service.

    Args:
        code: stable, snake_case; part of the interface.
        message: for people; one lowercase line.
        details: JSON-ready members that go into a problem document beside `code`.
    """

    def __init__(self, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details: dict[str, Any] = dict(details or {})


class PolicyErrors(PolicyServiceError):  # noqa: N818 - the plural says that it carries all of them
    """The author's fault: every diagnostic of a set of rule files, sorted."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(sorted(diagnostics, key=Diagnostic.sort_key))
        errors = sum(1 for diagnostic in self.diagnostics if diagnostic.severity == "error")
        super().__init__("invalid_policy", f"the rule files have {errors} error{'s' if errors != 1 else ''}")

    def __str__(self) -> str:
        return "\n".join(str(diagnostic) for diagnostic in self.diagnostics)


class RequestError(PolicyServiceError):
    """The caller's fault: a 4xx problem.

    Args:
        status: HTTP status, 400–499.
    """

    def __init__(self, code: str, message: str, details: Mapping[str, Any] | None = None, *, status: int = 400) -> None:
        super().__init__(code, message, details)
        self.status = status


class StoreError(PolicyServiceError):
    """Ours: infrastructure is broken or behind. HTTP 503, never an allow; exit code 2 in a command."""


class UsageError(PolicyServiceError):
    """A command was called wrongly, or its environment is not fit: exit code 2."""
