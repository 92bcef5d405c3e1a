"""One layout for rule files: what `policy fmt` writes. Words, quotes, order and comments stay; white space does not.

Two blanks a level, lists one level in; `[a, b]` and `{ a: b }` as long as they fit into a line, else one item a line;
at most one empty line between entries; comments at the level of what they are about.

INVARIANT: the file reads as before, comment for comment, and a second time nothing changes (test_layout).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from policy_service.language.comments import Comment, comments_in, content_start
from policy_service.language.report import Report
from policy_service.language.yaml_nodes import Mapping, Mark, Node, Scalar, Sequence
from policy_service.language.yaml_reader import read_yaml
from policy_service.model.spans import Span

WIDTH: Final = 120
STEP: Final = 2
_CLOSING: Final = re.compile(r"(?:[\s,]|#[^\n]*)*[\]}]")


def lay_out(file: str, text: str, report: Report) -> str | None:
    """The file in the one layout; None where it cannot be read, or not be laid out: why is in the report."""
    bare = text.removeprefix("\ufeff").replace("\r\n", "\n")
    root = read_yaml(file, bare, report)
    if root is None or report.has_errors():
        return None
    laid_out = _Layout(bare, root).lay_out()
    again = Report()
    if _told(read_yaml(file, laid_out, again), laid_out) != _told(root, bare) or again.has_errors():
        report.add(
            "unusual-layout", "the layout of this file is too unusual to be changed; write it plainly", Span(file)
        )
        return None
    return laid_out


def _told(root: Node | None, text: str) -> tuple[Any, list[str]]:
    """What a file says: its values with their quotes, and its comments."""
    return _plain(root), [comment.text for comment in comments_in(text, root)]


def _plain(node: Node | None) -> Any:
    if isinstance(node, Mapping):
        return {entry.key.value: _plain(entry.value) for entry in node.entries}
    if isinstance(node, Sequence):
        return [_plain(item) for item in node.items]
    return node and (node.value, node.style)


class _Layout:
    """Writes one file anew, line by line; comments are taken along as their places are passed."""

    def __init__(self, text: str, root: Node) -> None:
        self._text = text
        self._root = root
        self._source = text.split("\n")
        self._comments = deque(comments_in(text, root))
        self._starts = sorted(_starts(root), key=lambda mark: mark.offset)
        self._lines: list[str] = []
        self._begun: str | None = None

    def lay_out(self) -> str:
        if isinstance(self._root, Scalar) or self._is_short(self._root, "", 0):
            self._before(self._root.start, 0, is_first=True)
            self._value("", self._root, 0)
        else:
            self._collection(self._root, 0)
        while self._comments:
            self._comment(self._comments.popleft(), 0, is_first=not self._lines)
        return "\n".join(self._lines) + "\n"

    def _line(self, indent: int, text: str) -> None:
        """One line; after `- ` it goes on where that ended."""
        self._lines.append(((" " * indent if self._begun is None else self._begun) + text).rstrip())
        self._begun = None

    def _collection(self, node: Mapping | Sequence, indent: int) -> None:
        first = True
        if isinstance(node, Mapping):
            for entry in node.entries:
                self._before(entry.key.start, indent, is_first=first)
                key = self._text[entry.key.start.offset : entry.key.end.offset]
                self._value(f"{key}:", entry.value, indent, entry.key)
                first = False
        else:
            for item in node.items:
                self._before(item.start, indent, is_first=first)
                self._value("-", item, indent)
                first = False
        self._after(node, indent)

    def _before(self, start: Mark, indent: int, *, is_first: bool) -> None:
        """The comments above an entry, and the empty line that the author left there."""
        while self._comments and self._comments[0].offset < start.offset:
            self._comment(self._comments.popleft(), indent, is_first=is_first)
            is_first = False
        if not is_first and self._is_apart(start.line):
            self._lines.append("")

    def _comment(self, comment: Comment, indent: int, *, is_first: bool) -> None:
        if not is_first and self._is_apart(comment.line):
            self._lines.append("")
        begun, self._begun = self._begun, None
        self._line(indent, comment.text)
        self._begun = begun

    def _is_apart(self, line: int) -> bool:
        return line > 0 and not self._source[line - 1].strip() and bool(self._lines) and self._lines[-1] != ""

    def _after(self, node: Mapping | Sequence, indent: int) -> None:
        """The comments below the last entry that stand further in than what comes next."""
        place = bisect_left(self._starts, node.end.offset, key=lambda mark: mark.offset)
        following = self._starts[place] if place < len(self._starts) else None
        while self._comments and self._comments[0].is_alone:
            comment = self._comments[0]
            if following is not None and (
                comment.offset > following.offset or comment.column <= self._indent_of(following.line)
            ):
                return
            if comment.column < max(node.start.column, 1):
                return
            self._comment(self._comments.popleft(), indent, is_first=False)

    def _indent_of(self, line: int) -> int:
        return len(self._source[line]) - len(self._source[line].lstrip())

    def _beside(self, line: int) -> None:
        """The comment at the end of a line goes to the end of the line just written."""
        if self._comments and not self._comments[0].is_alone and self._comments[0].line == line:
            self._lines[-1] += f" {self._comments.popleft().text}"

    def _value(self, head: str, node: Node, indent: int, key: Scalar | None = None) -> None:
        """A value after its head, which is `name:`, `-`, or nothing for a whole file."""
        if isinstance(node, Scalar):
            self._scalar(head, node, indent)
        elif self._is_short(node, head, indent):
            self._line(indent, f"{head} {self._flow(node)}".strip())
            self._beside(self._end_line(node))
        elif head == "-":
            self._begun = (" " * indent if self._begun is None else self._begun) + "- "
            self._collection(node, indent + STEP)
        else:
            self._line(indent, head)
            self._beside(key.end.line if key else 0)
            self._collection(node, indent + STEP)

    def _scalar(self, head: str, node: Scalar, indent: int) -> None:
        text = self._text[node.start.offset : node.end.offset]
        if node.style in ("literal", "folded"):
            header = self._text[node.start.offset : content_start(node, self._text)].partition("#")[0].strip()
            self._line(indent, f"{head} {header}")
            self._beside(node.start.line)
            self._lines += self._block(node, indent + STEP)
            return
        first, *more = text.split("\n")
        self._line(indent, f"{head} {first.strip()}".strip())
        self._lines += [f"{' ' * (indent + STEP)}{line.strip()}".rstrip() for line in more]
        self._beside(node.end.line)

    def _block(self, node: Scalar, indent: int) -> Iterator[str]:
        """The lines of a `|` or `>` block, all moved by the same distance."""
        lines = self._text[content_start(node, self._text) : node.end.offset].split("\n")
        while lines and not lines[-1].strip():
            lines.pop()
        margin = min((len(line) - len(line.lstrip(" ")) for line in lines if line.strip()), default=0)
        yield from (f"{' ' * indent}{line[margin:]}".rstrip() for line in lines)

    def _is_short(self, node: Mapping | Sequence, head: str, indent: int) -> bool:
        """Whether a collection goes into one line: its author wrote it in brackets, and there is room."""
        if not self._is_flow(node):
            return False
        end = self._closing(node)
        if any(node.start.offset < comment.offset < end for comment in self._comments):
            return False
        text = self._flow(node)
        return "\n" not in text and indent + len(head) + 1 + len(text) <= WIDTH

    def _closing(self, node: Mapping | Sequence) -> int:
        """One past its closing bracket: nodes end with their last value."""
        values = [entry.value for entry in node.entries] if isinstance(node, Mapping) else node.items
        if not values:
            return node.end.offset
        last = values[-1]
        inner = last.end.offset if isinstance(last, Scalar) or not self._is_flow(last) else self._closing(last)
        match = _CLOSING.match(self._text, inner)
        return match.end() if match else inner

    def _is_flow(self, node: Mapping | Sequence) -> bool:
        return self._text.startswith(("[", "{"), node.start.offset)

    def _end_line(self, node: Mapping | Sequence) -> int:
        return self._text.count("\n", 0, self._closing(node))

    def _flow(self, node: Node) -> str:
        if isinstance(node, Scalar):
            return self._text[node.start.offset : node.end.offset]
        if isinstance(node, Sequence):
            return f"[{', '.join(map(self._flow, node.items))}]"
        members = ", ".join(f"{self._flow(entry.key)}: {self._flow(entry.value)}".rstrip() for entry in node.entries)
        return f"{{ {members} }}" if members else "{}"


def _starts(node: Node) -> Iterator[Mark]:
    if isinstance(node, Scalar):
        yield node.start
    elif isinstance(node, Mapping):
        for entry in node.entries:
            yield entry.key.start
            yield from _starts(entry.value)
    else:
        for item in node.items:
            yield from _starts(item)
