"""The rule files of a good policy once more, as documents with places: what the typed policy no longer knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from policy_service.language.offsets import source_indexes
from policy_service.language.places import Place, Source
from policy_service.language.report import Report
from policy_service.language.yaml_nodes import Mapping as MappingNode
from policy_service.language.yaml_nodes import Scalar, Sequence
from policy_service.language.yaml_reader import read_yaml
from policy_service.language.yaml_text import locate
from policy_service.model.spans import Span


class Documents:
    """Files by relative path. What is absent has no members; nothing here ever reports a mistake."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._roots = {file: root for file in sorted(files) if (root := _root(file, files[file])) is not None}

    def members(self, file: str, field: str) -> Iterator[tuple[str, Place, Place]]:
        """Name, key and value of each member of a top-level mapping, such as `scopes` of scopes.yaml."""
        root = self._roots.get(file)
        yield from members(child(root, field)) if root is not None else ()

    def items(self, file: str, field: str) -> list[Place]:
        """The items of a top-level list, such as `rules`."""
        root = self._roots.get(file)
        return items(child(root, field)) if root is not None else []

    def places(self, folder: str) -> Iterator[Place]:
        """The root of every file in a folder, such as `tests/`."""
        yield from (root for file, root in self._roots.items() if file.startswith(folder))

    def by_span(self, file: str, field: str) -> dict[tuple[int, int], Place]:
        """The items of a list of rules or checks, by line and column of their names."""
        found = {}
        for item in self.items(file, field):
            name = child(item, "name") or item
            found[name.span().line, name.span().column] = item
        return found


class Within(msgspec.Struct, frozen=True):
    """A stretch of a condition's text as a place in its file."""

    place: Place
    start: int
    end: int
    path: str

    def span(self) -> Span:
        """Where it stands."""
        node, text = self.place.node, self.place.source.text
        assert isinstance(node, Scalar)
        indexes = source_indexes(node, text)
        return Span(
            self.place.source.file, *locate(text, indexes[self.start]), *locate(text, indexes[self.end - 1] + 1)
        )


def _root(file: str, text: str) -> Place | None:
    report, bare = Report(), text.removeprefix("\ufeff")
    node = read_yaml(file, bare, report) if file.endswith(".yaml") else None
    return None if node is None else Place(Source(file, bare, report), node, "$")


def child(place: Place, field: str) -> Place | None:
    """One field of a mapping; None where there is none."""
    if not isinstance(place.node, MappingNode):
        return None
    return next((value for key, value in place.members("") or () if name_of(key) == field), None)


def members(place: Place | None) -> Iterator[tuple[str, Place, Place]]:
    """Name, key and value of each member of a mapping."""
    if place is not None and isinstance(place.node, MappingNode):
        yield from ((name_of(key), key, value) for key, value in place.members("") or ())


def items(place: Place | None) -> list[Place]:
    """The items of a list."""
    return place.items("") or [] if place is not None and isinstance(place.node, Sequence) else []


def name_of(place: Place) -> str:
    """The text of a scalar; nothing for anything else."""
    return place.node.value if isinstance(place.node, Scalar) else ""
