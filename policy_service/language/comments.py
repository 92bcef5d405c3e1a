"""The comments of a YAML file: where they stand, and whether they have their line to themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from policy_service.language.yaml_nodes import Mapping, Node, Scalar
from policy_service.language.yaml_text import locate

_COMMENT: Final = re.compile(r"(?:^|(?<=[ \t]))#[^\n]*", re.MULTILINE)


class Comment(msgspec.Struct, frozen=True):
    """One comment. `line` and `column` are 0-based, as in nodes; `is_alone`: nothing stands before it in its line."""

    text: str
    offset: int
    line: int
    column: int
    is_alone: bool


def comments_in(text: str, root: Node | None) -> tuple[Comment, ...]:
    """All of them, in order.

    Args:
        root: what the text reads as: a `#` inside a scalar is none.
    """
    found, at = [], 0
    for start, end in [*_contents(root, text), (len(text), len(text))]:
        found += [_comment(text, match) for match in _COMMENT.finditer(text, at, start)]
        at = max(at, end)
    return tuple(found)


def _comment(text: str, match: re.Match[str]) -> Comment:
    line, column = locate(text, match.start())
    before = text[match.start() - column + 1 : match.start()]
    return Comment(match.group().rstrip(), match.start(), line - 1, column - 1, not before.strip())


def _contents(node: Node | None, text: str) -> Iterator[tuple[int, int]]:
    """The stretches of text that are the contents of scalars, in order."""
    if isinstance(node, Scalar):
        yield content_start(node, text), node.end.offset
    elif isinstance(node, Mapping):
        for entry in node.entries:
            yield from _contents(entry.key, text)
            yield from _contents(entry.value, text)
    else:
        for item in node.items if node else ():
            yield from _contents(item, text)


def content_start(scalar: Scalar, text: str) -> int:
    """Where a scalar's content begins: of a block after its first line, on which a comment may stand."""
    if scalar.style not in ("literal", "folded"):
        return scalar.start.offset
    line_end = text.find("\n", scalar.start.offset)
    return min(line_end + 1, scalar.end.offset) if line_end >= 0 else scalar.end.offset
