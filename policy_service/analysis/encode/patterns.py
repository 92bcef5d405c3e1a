"""RE2 patterns as Z3 regular expressions: the regular subset, read by ourselves because RE2 shows nobody its tree.

What is not here (flags, word boundaries, Unicode classes, anchors in the middle) is Unsupported, by name.

Source: https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

from typing import Any, Final

import z3

from policy_service.analysis.encode.terms import LAST_CHARACTER, UNNAMED, Truth, Unsupported, text_value

_Ranges = list[tuple[int, int]]
_LAST: Final = 0x10FFFF
_MAX_REPEAT: Final = 1000

_CLASSES: Final[dict[str, _Ranges]] = {
    "d": [(48, 57)],
    "w": [(48, 57), (65, 90), (95, 95), (97, 122)],
    "s": [(9, 10), (12, 13), (32, 32)],
}
_POSIX: Final[dict[str, _Ranges]] = {
    "alnum": [(48, 57), (65, 90), (97, 122)],
    "alpha": [(65, 90), (97, 122)],
    "digit": _CLASSES["d"],
    "lower": [(97, 122)],
    "upper": [(65, 90)],
    "word": _CLASSES["w"],
    "xdigit": [(48, 57), (65, 70), (97, 102)],
}
_CONTROL: Final = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}


def occurs(pattern: str, text: Any) -> Truth:
    """Whether a pattern occurs in a Z3 string: RE2's partial match."""
    return z3.InRe(text, _Pattern(pattern).whole())


class _Pattern:
    """A recursive-descent reader. `_at` is the next character's place."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0

    def whole(self) -> Any:
        """The texts in which the pattern occurs."""
        branches = [self._outer_branch()]
        while self._take("|"):
            branches.append(self._outer_branch())
        if self._at < len(self._text):
            raise self._unsupported(self._text[self._at])
        return _union(branches)

    def _outer_branch(self) -> Any:
        """A branch at the top: the only place where `^` and `$` are read."""
        starts = self._take("^") or self._take("\\A")
        body = [] if starts else [_anything()]
        body.append(self._branch())
        if not (self._take("$") or self._take("\\z")):
            body.append(_anything())
        return _concat(body)

    def _branch(self) -> Any:
        parts = []
        while self._at < len(self._text) and self._text[self._at] not in "|)" and not self._ends_here():
            parts.append(self._repeated())
        return _concat(parts)

    def _ends_here(self) -> bool:
        """An anchor that closes a branch of the outermost level."""
        return any(
            self._text.startswith(anchor, self._at) and self._text[self._at + len(anchor) :][:1] in ("", "|")
            for anchor in ("$", "\\z")
        )

    def _repeated(self) -> Any:
        atom = self._atom()
        while self._at < len(self._text):
            if self._take("*"):
                atom = z3.Star(atom)
            elif self._take("+"):
                atom = z3.Plus(atom)
            elif self._take("?"):
                atom = z3.Option(atom)
            elif bounds := self._bounds():
                atom = _loop(atom, *bounds)
            else:
                break
            self._take("?")  # lazy: the same texts match
        return atom

    def _bounds(self) -> tuple[int, int | None] | None:
        """`{2}`, `{2,}` or `{2,5}`; anything else in braces is text."""
        close = self._text.find("}", self._at)
        if self._peek() != "{" or close < 0:
            return None
        low, comma, high = self._text[self._at + 1 : close].partition(",")
        if not low.isdigit() or (high and not high.isdigit()):
            return None
        self._at = close + 1
        return int(low), int(high) if high else None if comma else int(low)

    def _atom(self) -> Any:
        character = self._next()
        if character == "(":
            return self._group()
        if character == "[":
            return self._class()
        if character == ".":
            return _ranges([(0, 9), (11, _LAST)])
        if character == "\\":
            return _ranges(self._escape())
        if character in "^$*+?":
            raise self._unsupported(f"`{character}` in the middle")
        return z3.Re(text_value(character))

    def _group(self) -> Any:
        if self._take("?"):
            named = self._take("P<") or self._take("<")
            if named:
                self._at = self._text.index(">", self._at) + 1
            elif not self._take(":"):
                raise self._unsupported("flags such as `(?i)`")
        branches = [self._branch()]
        while self._take("|"):
            branches.append(self._branch())
        if not self._take(")"):
            raise self._unsupported("an anchor inside a group")
        return _union(branches)

    def _escape(self) -> _Ranges:
        letter = self._next()
        if letter in _CLASSES:
            return _CLASSES[letter]
        if letter.lower() in _CLASSES:
            return _without(_CLASSES[letter.lower()])
        if letter in _CONTROL:
            return [(_CONTROL[letter],) * 2]
        if letter == "x":
            return [(self._hexadecimal(),) * 2]
        if letter.isalnum():
            raise self._unsupported(f"`\\{letter}`")
        return [(ord(letter),) * 2]

    def _hexadecimal(self) -> int:
        if self._take("{"):
            close = self._text.index("}", self._at)
            digits, self._at = self._text[self._at : close], close + 1
        else:
            digits, self._at = self._text[self._at : self._at + 2], self._at + 2
        return int(digits, 16)

    def _class(self) -> Any:
        negated = self._take("^")
        found: _Ranges = []
        while not (found and self._peek() == "]"):
            found += self._class_item()
        self._at += 1
        return _ranges(_without(found) if negated else found)

    def _class_item(self) -> _Ranges:
        if self._take("[:"):
            close = self._text.index(":]", self._at)
            name, self._at = self._text[self._at : close], close + 2
            if name not in _POSIX:
                raise self._unsupported(f"`[:{name}:]`")
            return _POSIX[name]
        low = self._class_character()
        if self._peek() != "-" or self._text[self._at + 1 : self._at + 2] == "]" or low[0][0] != low[-1][1]:
            return low
        self._at += 1
        return [(low[0][0], self._class_character()[0][0])]

    def _class_character(self) -> _Ranges:
        character = self._next()
        return self._escape() if character == "\\" else [(ord(character),) * 2]

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        self._at += 1
        return self._text[self._at - 1]

    def _take(self, text: str) -> bool:
        found = self._text.startswith(text, self._at)
        self._at += len(text) if found else 0
        return found

    def _unsupported(self, construct: str) -> Unsupported:
        return Unsupported(f"{construct} in the pattern `{self._text}`")


def _sort() -> Any:
    return z3.ReSort(z3.StringSort())


def _anything() -> Any:
    return z3.Full(_sort())


def _concat(parts: list[Any]) -> Any:
    if not parts:
        return z3.Re("")
    return parts[0] if len(parts) == 1 else z3.Concat(*parts)


def _union(branches: list[Any]) -> Any:
    return branches[0] if len(branches) == 1 else z3.Union(*branches)


def _loop(atom: Any, low: int, high: int | None) -> Any:
    if max(low, high or 0) > _MAX_REPEAT:
        raise Unsupported("a repetition of more than 1000 times")
    if high is None:
        return z3.Concat(*([atom] * low), z3.Star(atom)) if low else z3.Star(atom)
    return z3.Loop(atom, low, high) if high else z3.Re("")


def _ranges(ranges: _Ranges) -> Any:
    if not ranges:
        return z3.Empty(_sort())
    return _union([_range(low, high) for low, high in ranges])


def _range(low: int, high: int) -> Any:
    """Characters from here to there; if any that Z3 does not have, then all of those (see `UNNAMED`)."""
    if low == high:
        return z3.Re(text_value(chr(low)))
    last = z3.StringVal(chr(LAST_CHARACTER)) if low < UNNAMED and high == _LAST else text_value(chr(high))
    return z3.Range(text_value(chr(low)), last)


def _without(ranges: _Ranges) -> _Ranges:
    """The complement."""
    found, start = [], 0
    for low, high in sorted(ranges):
        if low > start:
            found.append((start, low - 1))
        start = max(start, high + 1)
    return [*found, (start, _LAST)] if start <= _LAST else found
