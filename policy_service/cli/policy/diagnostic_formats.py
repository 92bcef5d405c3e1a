"""Diagnostics in the formats that code hosts show beside a change: SARIF, GitHub's commands, GitLab's code quality."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, Final

from policy_service.cli.shared.screen import Screen
from policy_service.model.canonical import sha256_hex
from policy_service.model.spans import Diagnostic

SARIF: Final = "https://json.schemastore.org/sarif-2.1.0.json"


class Format(StrEnum):
    """How diagnostics are printed."""

    TEXT = "text"
    SARIF = "sarif"
    GITHUB = "github"
    GITLAB = "gitlab"


def show_formatted(screen: Screen, diagnostics: Sequence[Diagnostic], chosen: Format) -> None:
    """Print them for a machine. Files are as the diagnostics name them: relative to where the command runs."""
    if chosen is Format.GITHUB:
        for diagnostic in diagnostics:
            screen.line(github(diagnostic))
    else:
        screen.json(_DOCUMENTS[chosen](diagnostics))


def sarif(diagnostics: Sequence[Diagnostic]) -> dict[str, Any]:
    """One run of one tool.

    Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0.
    """
    rules = [{"id": code} for code in sorted({diagnostic.code for diagnostic in diagnostics})]
    run = {
        "tool": {"driver": {"name": "policy-service", "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(diagnostic) for diagnostic in diagnostics],
    }
    return {"$schema": SARIF, "version": "2.1.0", "runs": [run]}


def _result(diagnostic: Diagnostic) -> dict[str, Any]:
    span = diagnostic.span
    region = {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }
    place = {"artifactLocation": {"uri": span.file}, "region": region}
    return {
        "ruleId": diagnostic.code,
        "level": diagnostic.severity,
        "message": {"text": f"{diagnostic.message} @ {diagnostic.path}"},
        "locations": [{"physicalLocation": place}],
    }


def github(diagnostic: Diagnostic) -> str:
    """One workflow command, which GitHub shows at its line.

    Source: GitHub Docs, "Workflow commands for GitHub Actions": `::error file=…,line=…::message`.
    """
    span = diagnostic.span
    properties: dict[str, object] = {"file": span.file, "line": span.line, "col": span.column, "title": diagnostic.code}
    if span.end_line == span.line:
        properties |= {"endLine": span.end_line, "endColumn": span.end_column}
    told = ",".join(f"{name}={_escaped(str(value), ',:')}" for name, value in properties.items())
    return f"::{diagnostic.severity} {told}::{_escaped(diagnostic.message, '')}"


def _escaped(text: str, more: str) -> str:
    return "".join(f"%{ord(char):02X}" if char in "%\r\n" + more else char for char in text)


def gitlab(diagnostics: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    """A code quality report.

    Source: GitLab Docs, "Code Quality": the report format, a subset of Code Climate's.
    """
    seen: Counter[str] = Counter()
    return [_issue(diagnostic, seen) for diagnostic in diagnostics]


def _issue(diagnostic: Diagnostic, seen: Counter[str]) -> dict[str, Any]:
    """A fingerprint stays as long as its finding does, wherever lines before it move it to."""
    span = diagnostic.span
    identity = json.dumps([span.file, diagnostic.code, diagnostic.path, diagnostic.message])
    seen[identity] += 1
    return {
        "description": diagnostic.message,
        "check_name": diagnostic.code,
        "fingerprint": sha256_hex(f"{identity}#{seen[identity]}"),
        "severity": "major" if diagnostic.severity == "error" else "minor",
        "location": {
            "path": span.file,
            "positions": {"begin": _position(span.line, span.column), "end": _position(span.end_line, span.end_column)},
        },
    }


def _position(line: int, column: int) -> dict[str, int]:
    return {"line": line, "column": column}


_DOCUMENTS: Final[dict[Format, Callable[[Sequence[Diagnostic]], Any]]] = {Format.SARIF: sarif, Format.GITLAB: gitlab}
