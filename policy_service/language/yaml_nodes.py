"""The parts of a YAML file with their exact places. Columns and offsets count code points.

`gc=False`: these are trees, without cycles, and a large file has tens of thousands of them.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Style = Literal["plain", "single", "double", "literal", "folded"]


class Mark(msgspec.Struct, frozen=True, gc=False):
    """A place in the text; all three 0-based."""

    offset: int
    line: int
    column: int


class Scalar(msgspec.Struct, frozen=True, gc=False):
    """A scalar as written: `value` is its text with quotes, escapes and folding undone; nothing is converted."""

    value: str
    style: Style
    start: Mark
    end: Mark


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One member of a mapping."""

    key: Scalar
    value: Node


class Mapping(msgspec.Struct, frozen=True, gc=False):
    """Members in the order written. Keys are unique: a second one was reported and left out."""

    entries: tuple[Entry, ...]
    start: Mark
    end: Mark


class Sequence(msgspec.Struct, frozen=True, gc=False):
    items: tuple[Node, ...]
    start: Mark
    end: Mark


Node = Scalar | Mapping | Sequence
