"""`# lint: off CODE reason`: a comment that silences one code in the entry beside it, or in the one below.

An entry is a line with all deeper lines under it: a name with its fields, a rule, a condition of several lines.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from policy_service.analysis.lint.findings import CODES, UNSILENCEABLE, Finding
from policy_service.language.report import near_match, quoted
from policy_service.model.spans import Diagnostic, Span

_COMMENT: Final = re.compile(r"(?:^|(?<=\s))#\s*lint:\s*off\b[ \t]*([^\s#]*)[ \t]*(.*)$", re.MULTILINE)


class Silence(msgspec.Struct, frozen=True):
    """One such comment. `first` and `last`: the lines whose findings it silences."""

    code: str
    reason: str
    place: Span
    first: int
    last: int


def silenced(found: Iterable[Finding], files: Mapping[str, str], *, unknown: Collection[str] = ()) -> list[Finding]:
    """The findings that nobody silenced, and those about the silencing.

    Args:
        unknown: codes that were not looked for to the end: a comment that silences one is not called idle.
    """
    silences = [one for file in sorted(files) for one in silences_in(file, files[file])]
    used: set[Silence] = set()
    left = []
    for finding in found:
        by = next((one for one in silences if _covers(one, finding)), None)
        if by is None:
            left.append(finding)
        else:
            used.add(by)
    used |= {one for one in silences if one.code in unknown}
    return [*left, *(finding for one in silences for finding in _about(one, is_used=one in used))]


def _covers(silence: Silence, finding: Finding) -> bool:
    span = finding.diagnostic.span
    is_there = span.file == silence.place.file and silence.first <= span.line <= silence.last
    return is_there and finding.code == silence.code and finding.code not in UNSILENCEABLE


def silences_in(file: str, text: str) -> Iterator[Silence]:
    """The comments of one file. One that has its line to itself is about the entry below."""
    lines = text.removeprefix("\ufeff").split("\n")
    for number, line in enumerate(lines, start=1):
        match = _COMMENT.search(line)
        if match is not None:
            place = Span(file, number, match.start() + 1, number, len(line.rstrip()) + 1)
            first = number if line[: match.start()].strip() else _next(lines, number)
            yield Silence(match.group(1), match.group(2).strip(), place, first, _last(lines, first))


def _next(lines: list[str], number: int) -> int:
    """The first line after `number` that is no comment."""
    while number < len(lines) and lines[number].strip().startswith("#"):
        number += 1
    return number + 1


def _last(lines: list[str], first: int) -> int:
    """The last line of the entry that begins at a line."""
    last = first
    for number in range(first, len(lines)):
        if lines[number].strip() and _indent(lines[number]) <= _indent(lines[first - 1]):
            break
        last = number + 1
    return last


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _about(silence: Silence, *, is_used: bool) -> Iterator[Finding]:
    if silence.code not in CODES or silence.code in UNSILENCEABLE:
        near = near_match(silence.code, CODES)
        hint = f"; did you mean {quoted(near)}?" if near else "; the codes stand in docs/lint.md"
        yield _finding("unknown-code", f"{quoted(silence.code)} is nothing that can be silenced{hint}", silence)
    elif not is_used:
        message = f"there is no {quoted(silence.code)} here to be silenced; remove the comment"
        yield _finding("idle-silence", message, silence)
    if silence.code in CODES and not silence.reason:
        message = f"say why {quoted(silence.code)} is meant here, after the code"
        yield _finding("silence-without-reason", message, silence)


def _finding(code: str, message: str, silence: Silence) -> Finding:
    return Finding(Diagnostic(code, message, silence.place, "$", "warning"))
