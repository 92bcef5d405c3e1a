"""From an offset inside a scalar's text back to the place in the file where that character was written.

White space is all that YAML folds, strips and indents; every other character of the value stands in the source in the
same order, as itself, as an escape (double quotes) or doubled (single quotes). So the two are walked side by side, and
white space is placed after whatever it follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from policy_service.language.yaml_nodes import Scalar

_WHITE: Final = frozenset(" \t\r\n")
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(\r?\n)|(.))", re.DOTALL)
_NAMED: Final = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b",
    " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip


def source_indexes(scalar: Scalar, text: str) -> list[int]:
    """For every character of the scalar's value, and for its end, the index in `text` where it is written.

    Exact for every character but folded white space, which is placed right after the character before it. Should the
    two not align (they always do; a property test holds it), every index is the scalar's start.
    """
    tokens = list(_tokens(scalar, text))
    indexes: list[int] = []
    at, after = 0, scalar.start.offset
    for char in scalar.value:
        ahead = _past_white(tokens, at, char)
        if ahead < len(tokens) and tokens[ahead][0] == char:
            indexes.append(tokens[ahead][1])
            at, after = ahead + 1, tokens[ahead][2]
        elif char in _WHITE:
            indexes.append(after)
        else:
            return [scalar.start.offset] * (len(scalar.value) + 1)
    return [*indexes, after]


Token = tuple[str, int, int]
"""A character of the value, or white space that may have been folded away; where it begins and ends in the source."""


def _past_white(tokens: list[Token], at: int, char: str) -> int:
    """Over white space, to the first token that is this character or is black."""
    while at < len(tokens) and tokens[at][0] in _WHITE and tokens[at][0] != char:
        at += 1
    return at


def _tokens(scalar: Scalar, text: str) -> Iterator[Token]:
    start, end = scalar.start.offset, scalar.end.offset
    if scalar.style == "double":
        yield from _double(text, start + 1, end - 1)
    elif scalar.style == "single":
        yield from _single(text, start + 1, end - 1)
    else:
        if scalar.style != "plain":
            start = text.find("\n", start, end) + 1 or end
        for index in range(start, end):
            yield text[index], index, index + 1


def _single(text: str, start: int, end: int) -> Iterator[Token]:
    index = start
    while index < end:
        width = 2 if text.startswith("''", index) else 1
        yield text[index], index, index + width
        index += width


def _double(text: str, start: int, end: int) -> Iterator[Token]:
    index = start
    while index < end:
        match = _ESCAPE.match(text, index, end)
        if match is None:
            yield text[index], index, index + 1
            index += 1
            continue
        code_point = match.group(1) or match.group(2) or match.group(3)
        if code_point:
            yield chr(int(code_point, 16)), index, match.end()
        elif match.group(5):
            yield _NAMED.get(match.group(5), match.group(5)), index, match.end()
        index = match.end()
