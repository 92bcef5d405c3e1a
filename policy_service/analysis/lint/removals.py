"""Taking an item out of a YAML list, as an edit of the file's text."""

from __future__ import annotations

import re
from typing import Final

from policy_service.analysis.lint.findings import Edit
from policy_service.language.places import Place
from policy_service.language.yaml_nodes import Sequence

_AFTER: Final = re.compile(r"[ \t]*,[ \t]*")
_BEFORE: Final = re.compile(r",\s*\Z")
_LINE: Final = re.compile(r"[ \t]*-[ \t]+\Z")
_REST: Final = re.compile(r"[ \t]*\r?(?:\n|\Z)")


def removal(parent: Place, item: Place) -> Edit | None:
    """The edit that takes an item out of a list of more than one; None where a comment, or the form, forbids it.

    In brackets the item goes with one comma; in a block its whole line does.
    """
    text, node = item.source.text, item.node
    if not isinstance(parent.node, Sequence) or len(parent.node.items) < 2:
        return None
    start, end = node.start.offset, node.end.offset
    if text[parent.node.start.offset] == "[":
        return _from_brackets(text, parent.node.start.offset, start, end)
    line = text.rfind("\n", 0, start) + 1
    rest = _REST.match(text, end)
    if not _LINE.fullmatch(text[line:start]) or rest is None:
        return None
    return Edit(line, rest.end())


def _from_brackets(text: str, opening: int, start: int, end: int) -> Edit | None:
    after = _AFTER.match(text, end)
    if after is not None:
        return Edit(start, after.end())
    before = _BEFORE.search(text, opening, start)
    return None if before is None else Edit(before.start(), end)
