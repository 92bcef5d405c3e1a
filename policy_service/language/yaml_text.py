"""What can be said of a YAML file's text alone: characters that do not belong, and syntax errors in our words."""

from __future__ import annotations

import re
from typing import Any, Final

from policy_service.language.report import Report, quoted
from policy_service.model.spans import Span

# Everything that an editor may show as nothing, as a space or as a line of its own: C0 and C1 controls, lone
# carriage returns, line and paragraph separators, bidirectional controls, zero-width characters, lone surrogates.
_BAD: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ud800-\udfff\ufeff"
    "\ufffe\uffff]|\r(?!\n)"
)
_REPORTED: Final = 20

_REMEDIES: Final = (
    ("mapping values are not allowed", "a `: ` inside a value needs quotes, or write the value in a `|` block"),
    (
        "did not find expected key",
        "check the indentation; text that starts with a quote must end with it, else use `|`",
    ),
    ("did not find expected '-'", "check the indentation: a list item must start with `- ` below the others"),
    ("did not find expected ','", "close the list with `]` or the mapping with `}`"),
    ("did not find expected node content", "close the list with `]` or the mapping with `}`"),
    ("found unexpected end of stream", "close the quoted text"),
    ("found unexpected document", "close the quoted text"),
    ("could not find expected ':'", "write `name: value`"),
    ("unknown escape character", "write `\\\\` for a backslash, or use single quotes"),
    ("did not find expected whitespace or line break", "`!` begins a YAML tag; quote the text or use a `|` block"),
    ("did not find expected alphabetic", "`*` and `&` begin a YAML alias or anchor; quote the text"),
)
_RESERVED: Final = {"@": "`@`", "`": "a back-tick", "%": "`%`", "\t": "a tab"}


def locate(text: str, index: int) -> tuple[int, int]:
    """1-based line and column (code points) of an index into `text`. Cost: linear in the text before it."""
    return text.count("\n", 0, index) + 1, index - (text.rfind("\n", 0, index) + 1) + 1


def find_bad_characters(file: str, text: str, report: Report) -> bool:
    """Report characters that do not belong into a rule file, the first twenty; whether there were any."""
    found = False
    for count, match in enumerate(_BAD.finditer(text)):
        found = True
        if count >= _REPORTED:
            break
        line, column = locate(text, match.start())
        code_point = ord(match.group()[0])
        message = f"the character U+{code_point:04X} is not allowed in a rule file; remove it or write it as an escape"
        report.add("yaml-character", message, Span(file, line, column, line, column + 1))
    return found


def explain_syntax_error(file: str, text: str, error: Any, report: Report) -> None:
    """Report a parser's error at its place, with a remedy."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    index = min(mark.index, len(text)) if mark is not None else 0
    line, column = locate(text, index)
    span = Span(file, line, column, line, column + 1)
    problem = str(getattr(error, "problem", None) or "the text is not YAML")
    at = text[index : index + 1]
    if at == "\t":
        report.add("yaml-tab", "a tab cannot indent; use spaces", span)
        return
    if "cannot start any token" in problem and at in _RESERVED:
        report.add("yaml-syntax", f"no value can start with {_RESERVED[at]}; quote the text", span)
        return
    remedy = next((remedy for part, remedy in _REMEDIES if part in problem), "check the line and the one before it")
    report.add("yaml-syntax", f"{_one_line(problem)}; {remedy}", span)


def _one_line(problem: str) -> str:
    plain = " ".join(problem.split())
    return plain if len(plain) <= 120 else quoted(plain)
