"""What a plain scalar would be to other YAML readers, and what it is to us.

YAML 1.1 turns `no` into false, `012` into ten and `12:30` into 750. A rule file must mean the same to everybody, so
where text is expected such a scalar has to be quoted, and where a number is expected only the one unsurprising
spelling counts.

Source: https://yaml.org/type/ (bool, null, int, float, timestamp, merge, value).
"""

from __future__ import annotations

import re
from typing import Final, Literal

Kind = Literal["text", "null", "bool", "int", "float", "timestamp"]

_BOOLS: Final = frozenset(
    word for base in ("yes", "no", "true", "false", "on", "off") for word in (base, base.capitalize(), base.upper())
)
_NULLS: Final = frozenset(("", "~", "null", "Null", "NULL"))
_INT: Final = re.compile(
    r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*|[0-9][0-9_]*(?::[0-5]?[0-9])+)", re.ASCII
)
_FLOAT: Final = re.compile(
    r"[-+]?(?:(?:\.[0-9_]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
    re.ASCII,
)
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d?-\d\d?(?:(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d.*)?", re.ASCII)
_STARTS: Final = frozenset("0123456789+-.~yYnNtTfFoO")
"""What any of the above can begin with: most text is let through by its first letter."""

PLAIN_INT: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,18})", re.ASCII)
PLAIN_DOUBLE: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,307})(?:\.[0-9]{1,400}(?:[eE][-+][0-9]{1,3})?)?", re.ASCII)


def kind_of(plain: str) -> Kind:
    """What YAML 1.1 (or a reader of YAML 1.2) takes an unquoted scalar for."""
    if plain and plain[0] not in _STARTS:
        return "text"
    if plain in _NULLS:
        return "null"
    if plain in _BOOLS:
        return "bool"
    if len(plain) > 400:
        return "text"
    if _INT.fullmatch(plain):
        return "int"
    if _FLOAT.fullmatch(plain):
        return "float"
    return "timestamp" if _TIMESTAMP.fullmatch(plain) else "text"


NOUNS: Final[dict[Kind, str]] = {
    "text": "text",
    "null": "nothing",
    "bool": "a boolean",
    "int": "a number",
    "float": "a number",
    "timestamp": "a date",
}
