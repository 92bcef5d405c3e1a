"""Where something stands in the author's text, and what is to be said of it there."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Severity = Literal["error", "warning"]


class Span(msgspec.Struct, frozen=True, order=True, gc=False):
    """A place in a rule file.

    `line` and `column` are 1-based; columns count code points. `end_line`/`end_column` point one past the last
    character. A span of a whole file that could not be read is 1:1–1:1.
    """

    file: str
    line: int = 1
    column: int = 1
    end_line: int = 1
    end_column: int = 1


class Diagnostic(msgspec.Struct, frozen=True, gc=False):
    """One mistake (or warning) in rule files, in the author's words.

    Args:
        code: stable and machine-readable, kebab-case, such as `unknown-field`.
        message: one lowercase line; user input in back-ticks; names the remedy.
        path: JSON path inside the file, such as `$.rules[2].when`.
    """

    code: str
    message: str
    span: Span
    path: str = "$"
    severity: Severity = "error"

    def sort_key(self) -> tuple[str, int, int, str, str]:
        """Reading order: file, line, column; then code and message, so that output is deterministic."""
        return (self.span.file, self.span.line, self.span.column, self.code, self.message)

    def document(self) -> dict[str, Any]:
        """As JSON, for editors and programs."""
        span = self.span
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "file": span.file,
            "line": span.line,
            "column": span.column,
            "end_line": span.end_line,
            "end_column": span.end_column,
            "path": self.path,
        }

    def __str__(self) -> str:
        """`file:line:col: message @ $.path [code]`."""
        place = f"{self.span.file}:{self.span.line}:{self.span.column}"
        label = "warning: " if self.severity == "warning" else ""
        return f"{place}: {label}{self.message} @ {self.path} [{self.code}]"
