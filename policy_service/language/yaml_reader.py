"""A strict YAML reader: the part of YAML that cannot surprise, with exact places.

Built on the parser's *events*, not on composed objects: nothing is expanded, converted or recursed into, so that
hostile input costs no more than its size. Refused: duplicate keys, anchors, aliases, tags, merge keys, directives,
more than one document, characters that editors do not show.

Source: YAML 1.1 (https://yaml.org/spec/1.1/), read by libyaml where it is built in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml

from policy_service.language.report import Report, path_step, quoted
from policy_service.language.yaml_nodes import Entry, Mapping, Mark, Node, Scalar, Sequence, Style
from policy_service.language.yaml_text import explain_syntax_error, find_bad_characters
from policy_service.model.spans import Span

MAX_CODE_POINTS: Final = 4 * 1024 * 1024
MAX_NODES: Final = 250_000
MAX_DEPTH: Final = 16
MAX_SCALAR: Final = 16_384
MAX_REFUSALS: Final = 200
"""After so many anchors, tags or doubled keys nobody wants to hear of the next one: reading stops."""

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STYLES: Final[dict[str | None, Style]] = {"'": "single", '"': "double", "|": "literal", ">": "folded"}


def read_yaml(file: str, text: str, report: Report, *, loader: Any = _LOADER) -> Node | None:
    """The one document of a file, or None when it is unreadable or empty; why is in the report.

    Mistakes that leave the rest readable (a duplicate key, an anchor, a tag) are reported and read past.

    Args:
        loader: a loader class of PyYAML: the fast one where libyaml is built in.
    """
    if len(text) > MAX_CODE_POINTS:
        report.add("yaml-too-large", f"the file is longer than {MAX_CODE_POINTS} characters; split it", Span(file))
        return None
    if find_bad_characters(file, text, report):
        return None
    builder = _Builder(file, report)
    try:
        for event in _events(loader(text)):
            if not builder.take(event):
                return None
    except yaml.YAMLError as error:
        explain_syntax_error(file, text, error, report)
        return None
    if builder.root is None:
        report.add("empty-file", "the file is empty; write what it should hold, or remove it", Span(file))
    return builder.root


def _events(loader: Any) -> Iterator[Any]:
    try:
        while (event := loader.get_event()) is not None:
            yield event
    finally:
        loader.dispose()


class _Open:
    """A collection whose end has not come yet. `key` waits for its value; `skip`: an error was reported for the key."""

    __slots__ = ("entries", "is_mapping", "items", "key", "seen", "skip", "start")

    def __init__(self, start: Mark, is_mapping: bool) -> None:
        self.start = start
        self.is_mapping = is_mapping
        self.items: list[Node] = []
        self.entries: list[Entry] = []
        self.seen: dict[str, Mark] = {}
        self.key: Scalar | None = None
        self.skip = False


class _Builder:
    """Takes events one by one and builds the tree on an explicit stack."""

    def __init__(self, file: str, report: Report) -> None:
        self.root: Node | None = None
        self._file = file
        self._report = report
        self._open: list[_Open] = []
        self._nodes = 0
        self._documents = 0
        self._refusals_left = MAX_REFUSALS

    def take(self, event: Any) -> bool:
        """False: stop reading, the reason is reported."""
        # Nine of ten events: a scalar of which there is nothing to say.
        if type(event) is yaml.ScalarEvent and event.anchor is None and event.tag is None:
            self._nodes += 1
            if self._nodes <= MAX_NODES and len(event.value) <= MAX_SCALAR:
                return self._scalar(event)
            self._nodes -= 1
        if isinstance(event, yaml.NodeEvent):
            return self._is_bounded(event) and self._node(event) and self._refusals_left > 0
        if isinstance(event, yaml.CollectionEndEvent):
            self._finish(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            return self._document(event)
        return True

    def _is_bounded(self, event: Any) -> bool:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._error(event, "yaml-too-large", f"the file has more than {MAX_NODES} values; split it")
        elif isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_SCALAR:
            self._error(event, "yaml-too-large", f"the text is longer than {MAX_SCALAR} characters; shorten it")
        elif isinstance(event, yaml.CollectionStartEvent) and len(self._open) >= MAX_DEPTH:
            message = f"values are nested more than {MAX_DEPTH} deep; no rule file needs that"
            self._error(event, "yaml-too-deep", message)
        else:
            return True
        return False

    def _node(self, event: Any) -> bool:
        if isinstance(event, yaml.AliasEvent):
            message = f'`*` begins a YAML alias, and aliases are refused; quote "*{event.anchor}"'
            self._refuse(event, "yaml-alias", message)
            self._add(Scalar("", "plain", _mark(event.start_mark), _mark(event.end_mark)))
            return True
        if event.anchor is not None:
            message = f'`&` begins a YAML anchor, and anchors are refused; quote "&{event.anchor}"'
            self._refuse(event, "yaml-anchor", message)
        if event.tag is not None:
            hint = "quote the text, or write a condition in a `|` block" if event.tag.startswith("!") else "remove it"
            self._refuse(event, "yaml-tag", f"{quoted(event.tag)} is a YAML tag, and tags are refused; {hint}")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        self._open.append(_Open(_mark(event.start_mark), isinstance(event, yaml.MappingStartEvent)))
        return True

    def _scalar(self, event: Any) -> bool:
        start, end = event.start_mark, event.end_mark
        begins, ends = Mark(start.index, start.line, start.column), Mark(end.index, end.line, end.column)
        self._add(Scalar(event.value, _STYLES.get(event.style, "plain"), begins, ends))
        return self._refusals_left > 0

    def _document(self, event: Any) -> bool:
        self._documents += 1
        if self._documents > 1:
            self._error(event, "yaml-documents", "a second document begins here; keep one document in each file")
            return False
        if event.version or event.tags:
            self._error(event, "yaml-directive", "YAML directives (`%`) are refused; remove the line")
        return True

    def _finish(self, event: Any) -> None:
        done = self._open.pop()
        if done.is_mapping:
            end = done.entries[-1].value.end if done.entries else _mark(event.end_mark)
            self._add(Mapping(tuple(done.entries), done.start, end))
        else:
            end = done.items[-1].end if done.items else _mark(event.end_mark)
            self._add(Sequence(tuple(done.items), done.start, end))

    def _add(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if not parent.is_mapping:
            parent.items.append(node)
        elif parent.key is None and not parent.skip:
            self._key(parent, node)
        else:
            if parent.key is not None:
                parent.entries.append(Entry(parent.key, node))
            parent.key, parent.skip = None, False

    def _key(self, parent: _Open, node: Node) -> None:
        key_or_refusal = _good_key(parent, node)
        if isinstance(key_or_refusal, Scalar):
            parent.seen[key_or_refusal.value] = key_or_refusal.start
            parent.key = key_or_refusal
            return
        code, message = key_or_refusal
        self._report.add(code, message, _span(self._file, node.start, node.end), self._path())
        self._refusals_left -= 1
        parent.skip = True

    def _refuse(self, event: Any, code: str, message: str) -> None:
        """An error that reading goes on after; nothing else will be said of the same value."""
        self._error(event, code, message)
        self._report.spoil(_span(self._file, _mark(event.start_mark), _mark(event.end_mark)))
        self._refusals_left -= 1

    def _error(self, event: Any, code: str, message: str) -> None:
        span = _span(self._file, _mark(event.start_mark), _mark(event.end_mark))
        self._report.add(code, message, span, self._path())

    def _path(self) -> str:
        """Of the value that comes next."""
        steps = []
        for collection in self._open:
            if not collection.is_mapping:
                steps.append(f"[{len(collection.items)}]")
            elif collection.key is not None:
                steps.append(path_step(collection.key.value))
        return "$" + "".join(steps)


def _good_key(parent: _Open, node: Node) -> Scalar | tuple[str, str]:
    """The key, or code and message of what is wrong with it."""
    if not isinstance(node, Scalar):
        return "yaml-complex-key", "a name is expected here, not a list or mapping; quote it if it is text"
    if node.style == "plain" and node.value == "<<":
        return "yaml-merge-key", "`<<` merges mappings, which is refused; write the fields out"
    if node.value in parent.seen:
        line = parent.seen[node.value].line + 1
        return "duplicate-key", f"{quoted(node.value)} stands here already, in line {line}; keep one"
    return node


def _mark(mark: Any) -> Mark:
    return Mark(mark.index, mark.line, mark.column)


def _span(file: str, start: Mark, end: Mark) -> Span:
    return Span(file, start.line + 1, start.column + 1, end.line + 1, end.column + 1)
