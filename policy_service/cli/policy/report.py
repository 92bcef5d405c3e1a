"""The result of checking a folder of rule files, for authors and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from policy_service.cli.shared.screen import Screen
from policy_service.language.memory import Memory
from policy_service.language.policy import Policy
from policy_service.model.spans import Diagnostic
from policy_service.service.policies.policy_folder import load_folder


class Checked(msgspec.Struct, frozen=True):
    """What one look at a folder found. `policy` is None if there are errors."""

    folder: Path
    policy: Policy | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def is_good(self) -> bool:
        """Whether the folder could be published: warnings do not prevent that."""
        return self.policy is not None


def check_folder(path: Path, memory: Memory | None = None) -> Checked:
    """Load a folder, with what the last look left. Raises UsageError where there is none to read."""
    loaded = load_folder(path, memory)
    return Checked(path, loaded.policy, loaded.diagnostics)


def show_checked(screen: Screen, checked: Checked, *, as_json: bool, on_one_line: bool = False) -> None:
    """Print all diagnostics and a summary.

    Args:
        on_one_line: JSON without indentation, so that one line is one check.
    """
    if as_json:
        document = checked_document(checked)
        if on_one_line:
            screen.line(json.dumps(document))
        else:
            screen.json(document)
        return
    for diagnostic in checked.diagnostics:
        screen.diagnostic(located(diagnostic, checked.folder))
    screen.line(summary(checked), "green" if checked.is_good else "red")


def located(diagnostic: Diagnostic, folder: Path) -> Diagnostic:
    """The same, its file as seen from where the command runs: terminals and editors open such a place."""
    span = msgspec.structs.replace(diagnostic.span, file=(folder / diagnostic.span.file).as_posix())
    return msgspec.structs.replace(diagnostic, span=span)


def summary(checked: Checked) -> str:
    """One line: `policies: 2 errors, 1 warning`, or what a good folder holds and its digest."""
    errors = sum(1 for diagnostic in checked.diagnostics if diagnostic.severity == "error")
    warnings = len(checked.diagnostics) - errors
    trouble = [count(number, noun) for number, noun in ((errors, "error"), (warnings, "warning")) if number]
    if checked.policy is None:
        return f"{checked.folder}: {', '.join(trouble)}"
    policy = checked.policy
    rules = sum(len(resource.rules) for resource in policy.resources.values())
    parts = [count(len(policy.scopes), "scope"), count(len(policy.roles), "role"), count(rules, "rule"), *trouble]
    return f"{checked.folder}: good, {', '.join(parts)}, {policy.digest}"


def count(number: int, noun: str) -> str:
    """`1 rule`, `2 rules`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def checked_document(checked: Checked) -> dict[str, Any]:
    """The JSON form. Files are named relative to the folder."""
    return {
        "folder": str(checked.folder),
        "ok": checked.is_good,
        "digest": None if checked.policy is None else checked.policy.digest,
        "diagnostics": diagnostics_document(checked.diagnostics),
    }


def diagnostics_document(diagnostics: Sequence[Diagnostic]) -> list[dict[str, Any]]:
    """Diagnostics as JSON, in reading order."""
    return [diagnostic.document() for diagnostic in diagnostics]
