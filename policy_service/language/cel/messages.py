"""What Google's checker says, in our authors' words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from policy_service.language.cel.calls import SYMBOLS
from policy_service.language.cel.macros import MACROS
from policy_service.language.cel.places import Places
from policy_service.language.cel.schema import IP_TYPE, Schema
from policy_service.language.report import near_match, quoted

FUNCTIONS: Final = (
    *("size", "contains", "startsWith", "endsWith", "matches", "has", "int", "double", "string", "bool"),
    *("timestamp", "duration", "inCidr", "inNetwork", "getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth"),
    *("getDate", "getDayOfWeek", "getHours", "getMinutes", "getSeconds", "getMilliseconds", *MACROS),
)
"""What an author may have meant by a misspelt function."""

_ERROR: Final = re.compile(r"^(?:INVALID_ARGUMENT: )?ERROR: <input>:(-?\d+):(-?\d+): (.*)", re.MULTILINE)
_TOO_DEEP: Final = re.compile("recursion")
_ECHOES: Final = re.compile(r"\*error\*|<<nil>>|More than \d+ parse errors")
"""Errors about errors: said only where nothing else is."""
_OPTIONAL: Final = re.compile(r"\.\?|\[\?|[{,]\s*\?")
_LOST: Final = re.compile("token recognition error")


def report_too_deep(text: str, places: Places) -> None:
    """The whole condition is too deep; nobody can say where it begins to be."""
    places.report("cel-too-deep", "the condition is nested too deeply; split it into several rules", 0, len(text))


def report_checker(errors: str, text: str, schema: Schema, places: Places) -> None:
    """Report every error of one failed check. At least one is reported, whatever the checker said."""
    if _TOO_DEEP.search(errors):
        report_too_deep(text, places)
        return
    rewording = _Rewording(text, schema, places)
    lost = False
    for match in _ERROR.finditer(errors):
        line, column, message = match.groups()
        # After a sign that is no part of the language, what the parser makes of the rest is noise.
        if not (_ECHOES.search(message) or (lost and message.startswith("Syntax error"))):
            rewording.report(message, rewording.offset(int(line), int(column)))
        lost = lost or _LOST.search(message) is not None
        if places.is_full():
            break
    if not places.has_errors():
        places.report("cel-syntax", "this is not a condition that can be read", 0, len(text))


class _Rewording:
    """Reports errors of one text. `offset` is always where the checker points."""

    def __init__(self, text: str, schema: Schema, places: Places) -> None:
        self._text = text
        self._schema = schema
        self._places = places
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def offset(self, line: int, column: int) -> int:
        """Of a 1-based line and column in code points; the start for an error without a place."""
        return self._line_starts[min(line, len(self._line_starts)) - 1] + column - 1 if line > 0 else 0

    def report(self, message: str, offset: int) -> None:
        for pattern, reword in _REWORDINGS:
            match = pattern.search(message)
            if match:
                reword(self, match, offset)
                return
        self._syntax(f"this cannot be read: {quoted(message.lower())}", offset)

    def _syntax(self, message: str, offset: int) -> None:
        self._places.report("cel-syntax", message, offset)

    def _type_error(self, message: str, offset: int) -> None:
        self._places.report("cel-type", message, offset)

    def _word(self, offset: int) -> str:
        return self._text[offset : self._places.word_end(offset)]

    # Syntax

    def token(self, _match: re.Match[str], offset: int) -> None:
        sign = self._text[offset : offset + 1]
        if sign in ('"', "'"):
            message = "the text that begins here has no closing quote, or an escape that does not exist in it"
        elif sign in ("&", "|", "="):
            message = f"{quoted(sign)} has no meaning alone; write {quoted(sign * 2)}"
        else:
            message = f"{quoted(sign)} has no meaning in a condition"
        self._syntax(message, offset)

    def missing(self, match: re.Match[str], offset: int) -> None:
        place = f"before {quoted(self._word(offset))}" if self._word(offset).strip() else "at the end"
        self._syntax(f"{quoted(match.group(1))} is missing {place}", offset)

    def unexpected(self, _match: re.Match[str], offset: int) -> None:
        word = self._word(offset)
        if word.strip():
            self._syntax(f"{quoted(word)} does not fit here", offset)
        elif self._text.strip():
            self._syntax("the condition ends too early; something is missing at its end", offset)
        else:
            self._syntax("the condition is empty; leave it out if the rule always applies", offset)

    def reserved(self, match: re.Match[str], offset: int) -> None:
        self._syntax(f"{quoted(match.group(1))} is a word that the condition language keeps for itself", offset)

    def number(self, _match: re.Match[str], offset: int) -> None:
        self._syntax(f"{quoted(self._word(offset))} is not a number of 64 bits", offset)

    def escape(self, _match: re.Match[str], offset: int) -> None:
        self._syntax("there is an escape in this text that stands for no character", offset)

    def unsupported(self, _match: re.Match[str], offset: int) -> None:
        """The checker gives the start of the expression; the sign stands further on."""
        found = _OPTIONAL.search(self._text, offset)
        start, end = found.span() if found else (offset, offset)
        message = (
            f"{quoted(self._text[start:end])} cannot be used in a condition; ask `has(…)` whether a value is there"
        )
        self._places.report("cel-unsupported", message, start, end)

    # Names

    def undeclared(self, match: re.Match[str], offset: int) -> None:
        name = match.group(1)
        if self._text[offset : offset + 1] == "(":
            self._undeclared_function(name, offset)
            return
        root = name.split(".", 1)[0]
        start = offset if self._text.startswith(root, offset) else max(self._text.rfind(root, 0, offset), 0)
        near = near_match(root, self._schema.members(""))
        known = ", ".join(f"`{variable}`" for variable in self._schema.members(""))
        hint = f"did you mean {quoted(near)}?" if near else f"conditions see {known}; texts stand in quotes"
        message = f"there is no {quoted(root)}; {hint}"
        self._places.report("cel-undeclared-name", message, start, start + len(root))

    def _undeclared_function(self, name: str, offset: int) -> None:
        start = max(self._text.rfind(name, 0, offset), 0)
        if name in MACROS:
            message = f"{quoted(name)} takes a variable and a condition: `list.{name}(x, …)`"
            self._places.report("cel-type", message, start, start + len(name))
            return
        if name in FUNCTIONS:
            self._places.report("cel-type", f"{quoted(name)} does not take these arguments", start, start + len(name))
            return
        near = near_match(name, FUNCTIONS)
        hint = f"did you mean {quoted(near)}?" if near else "the guide for authors lists those there are"
        message = f"there is no function {quoted(name)}; {hint}"
        self._places.report("cel-undeclared-name", message, start, start + len(name))

    def field(self, match: re.Match[str], offset: int) -> None:
        """The checker points at the dot."""
        name, group = match.group(1), self._schema.groups.get(match.group(2), "")
        start = max(self._text.find(name, offset), offset)
        self._places.report("cel-undeclared-name", self._no_field(name, group), start, start + len(name))

    def _no_field(self, name: str, group: str) -> str:
        if not group:  # the one message type that holds nothing
            return "`request.ip` has no parts; test it with `.inCidr(…)` or `.inNetwork(…)`"
        if group == "resource" and name == "attr":
            return "attributes cannot be read here; name the type of resource with `resource:` beside the condition"
        members = self._schema.members(group)
        near = near_match(name, members)
        if near:
            return f"{quoted(group)} has no {quoted(name)}; did you mean {quoted(near)}?"
        where = {"resource.attr": "declare it under `attributes:`", "request.context": "declare it in context.yaml"}
        known = ", ".join(quoted(member) for member in members)
        return f"{quoted(group)} has no {quoted(name)}; {where.get(group, f'it has {known}')}"

    # Types

    def overload(self, match: re.Match[str], offset: int) -> None:
        function, kinds = match.group(1), [self._kind(kind) for kind in _split(match.group(2))]
        symbol = quoted(SYMBOLS.get(function, function))
        if function in ("inCidr", "inNetwork"):
            self._type_error(f"{symbol} is asked of an address and takes one text in quotes", offset)
            return
        if IP_TYPE in _split(match.group(2)):
            self._type_error("an address is tested with `.inCidr(…)` or `.inNetwork(…)`, not compared", offset)
            return
        hint = ""
        if set(kinds) == {"int", "double"}:
            hint = "; write 1.0 for 1, or convert with `double(…)`"
        elif "null" in kinds:
            hint = "; ask `has(…)` whether a value is there"
        self._type_error(f"{symbol} does not go with {' and '.join(kinds) or 'nothing'}{hint}", offset)

    def no_parts(self, match: re.Match[str], offset: int) -> None:
        self._type_error(f"a value of type {self._kind(match.group(1))} has no parts to name", offset)

    def range(self, match: re.Match[str], offset: int) -> None:
        self._type_error(f"a macro goes over a list, not over a value of type {self._kind(match.group(1))}", offset)

    def has_argument(self, _match: re.Match[str], offset: int) -> None:
        self._type_error("`has` asks for a name with a dot, such as `has(resource.owner)`", offset)

    def variable(self, match: re.Match[str], offset: int) -> None:
        self._type_error(f"the first argument of {quoted(match.group(1))} is a new name for each item", offset)

    def _kind(self, kind: str) -> str:
        """A type of the checker's in our words."""
        kind = _KINDS.get(kind, kind)
        if kind in self._schema.groups:
            return quoted(self._schema.groups[kind])
        return re.sub(r"google\.protobuf\.(\w+)", lambda match: match.group(1).lower(), kind)


_KINDS: Final = {"null_type": "null", IP_TYPE: "address", "dyn": "any type"}


def _split(kinds: str) -> list[str]:
    """`int, list(string)` as two; commas inside brackets do not part."""
    return [kind.strip() for kind in re.split(r",\s*(?![^()]*\))", kinds) if kind]


_Reword = Callable[[_Rewording, re.Match[str], int], None]
_REWORDINGS: Final[tuple[tuple[re.Pattern[str], _Reword], ...]] = tuple(
    (re.compile(pattern), reword)
    for pattern, reword in (
        (r"^Syntax error: token recognition error", _Rewording.token),
        (r"^Syntax error: missing '(.+)' at ", _Rewording.missing),
        (r"^Syntax error: (?:mismatched|extraneous|no viable)", _Rewording.unexpected),
        (r"^reserved identifier: (\w+)", _Rewording.reserved),
        (r"^invalid \w+ literal", _Rewording.number),
        (r"^Invalid \w+ literal", _Rewording.escape),
        (r"^unsupported syntax", _Rewording.unsupported),
        (r"^undeclared reference to '(.+?)'", _Rewording.undeclared),
        (r"^undefined field '(.+)' not found in struct '(.+)'", _Rewording.field),
        (r"^found no matching overload for '(.+?)' applied to '\((.*)\)'", _Rewording.overload),
        (r"^expression of type '(.+)' cannot be the operand", _Rewording.no_parts),
        (r"^expression of type '(.+)' cannot be the range", _Rewording.range),
        (r"^has\(\) argument", _Rewording.has_argument),
        (r"^(\w+)\(\) variable name", _Rewording.variable),
    )
)
