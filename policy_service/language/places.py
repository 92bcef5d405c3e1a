"""A node with its file and path: what readers of documents ask, and where its mistakes are reported."""

from __future__ import annotations

import re
from collections.abc import Collection

import msgspec

from policy_service.language.report import Report, path_step, quoted
from policy_service.language.scalars import NOUNS, kind_of
from policy_service.language.yaml_nodes import Mapping, Node, Scalar, Sequence
from policy_service.model.spans import Severity, Span


class Source(msgspec.Struct, frozen=True):
    """One rule file that could be read."""

    file: str
    text: str
    report: Report


class Place(msgspec.Struct, frozen=True, gc=False):
    """One value of a rule file. Every method that may find a mistake reports it, once, and answers None."""

    source: Source
    node: Node
    path: str

    def span(self) -> Span:
        start, end = self.node.start, self.node.end
        return Span(self.source.file, start.line + 1, start.column + 1, end.line + 1, end.column + 1)

    def error(self, code: str, message: str) -> None:
        self.note(code, message, "error")

    def warn(self, code: str, message: str) -> None:
        self.note(code, message, "warning")

    def note(self, code: str, message: str, severity: Severity) -> None:
        self.source.report.add(code, message, self.span(), self.path, severity)

    def hint(self, name: str, known: Collection[str]) -> str:
        """See `Report.hint`."""
        return self.source.report.hint(name, known)

    def text(self, what: str) -> str | None:
        """The text of a string. `what` names it in the message, such as `a scope name`."""
        node = self.node
        if not isinstance(node, Scalar):
            self._wrong(f"{what} is expected")
            return None
        if node.style != "plain":
            return node.value
        kind = kind_of(node.value)
        if kind == "text":
            return node.value
        if kind == "null":
            self._null(f"{what} is expected")
        else:
            shown = node.value.replace('"', '\\"')
            message = f'{quoted(node.value)} is {NOUNS[kind]} to YAML, but {what} is expected; quote it: "{shown}"'
            self.error("yaml-trap", message)
        return None

    def name(self, pattern: re.Pattern[str], what: str) -> str | None:
        """A string that matches a pattern of `model.names`."""
        text = self.text(what)
        if text is None or pattern.fullmatch(text):
            return text
        self.error("bad-name", f"{quoted(text)} is not {what}; it must match ^{pattern.pattern}$")
        return None

    def choice(self, options: tuple[str, ...], what: str) -> str | None:
        """One of a few words."""
        text = self.text(what)
        if text is None or text in options:
            return text
        wanted = " or ".join(f"`{option}`" for option in options)
        self.error("bad-value", f"{quoted(text)} is not {what}; write {wanted}")
        return None

    def items(self, what: str) -> list[Place] | None:
        """The items of a list."""
        if not isinstance(self.node, Sequence):
            self._wrong(f"{what} is expected")
            return None
        return [Place(self.source, item, f"{self.path}[{index}]") for index, item in enumerate(self.node.items)]

    def is_empty_list(self) -> bool:
        return isinstance(self.node, Sequence) and not self.node.items

    def members(self, what: str) -> list[tuple[Place, Place]] | None:
        """Key and value of every member of a mapping whose keys the author chose."""
        if not isinstance(self.node, Mapping):
            self._wrong(f"{what} is expected")
            return None
        return self._members(self.node)

    def _members(self, node: Mapping) -> list[tuple[Place, Place]]:
        found = []
        for entry in node.entries:
            path = self.path + path_step(entry.key.value)
            found.append((Place(self.source, entry.key, path), Place(self.source, entry.value, path)))
        return found

    def fields(self, what: str, known: tuple[str, ...], required: tuple[str, ...] = ()) -> dict[str, Place] | None:
        """The known fields of a mapping by name; unknown and missing ones are reported."""
        if not isinstance(self.node, Mapping):
            self._wrong(f"{what} must be a mapping of its fields")
            return None
        found = {}
        for key, value in self._members(self.node):
            name = key.node.value if isinstance(key.node, Scalar) else ""
            if name in known:
                found[name] = value
            else:
                key.error("unknown-field", f"{what} has no field {quoted(name)}{self.hint(name, known)}")
        for name in required:
            if name not in found:
                self.error("missing-field", f"{what} needs the field `{name}`")
        return found

    def _wrong(self, expectation: str) -> None:
        found = {Mapping: "a mapping", Sequence: "a list"}.get(type(self.node), "")
        if isinstance(self.node, Scalar):
            if self.node.style == "plain" and kind_of(self.node.value) == "null":
                self._null(expectation)
                return
            found = f"the text {quoted(self.node.value)}"
        self.error("wrong-type", f"{expectation}, not {found}")

    def _null(self, expectation: str) -> None:
        self.error("yaml-null", f"{expectation}, but there is no value; write one or remove the field")
