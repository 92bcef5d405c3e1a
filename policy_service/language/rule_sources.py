"""Where the conditions of rules stand in their files, character by character; for showing source with notes on it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from policy_service.language.offsets import source_indexes
from policy_service.language.report import Report
from policy_service.language.yaml_nodes import Mapping, Node, Scalar, Sequence
from policy_service.language.yaml_reader import read_yaml

CONDITION_FIELDS = ("when", "require")


class RuleSource(msgspec.Struct, frozen=True):
    """One rule or condition check as it stands in its file.

    Args:
        conditions: of each condition, for every character of its text and for its end the index in the file's text.
    """

    line: int
    conditions: dict[str, list[int]]


def rule_sources(file: str, text: str) -> dict[tuple[int, int], RuleSource]:
    """The rules of a good file, by 1-based line and column of their names (a rule's `span`)."""
    bare = text.removeprefix("\ufeff")
    root = read_yaml(file, bare, Report())
    found = {}
    for mapping in _mappings(root):
        fields = {entry.key.value: entry.value for entry in mapping.entries}
        name = fields.get("name")
        if isinstance(name, Scalar):
            conditions = {field: node for field in CONDITION_FIELDS if isinstance(node := fields.get(field), Scalar)}
            places = {field: source_indexes(node, bare) for field, node in conditions.items()}
            found[name.start.line + 1, name.start.column + 1] = RuleSource(name.start.line + 1, places)
    return found


def _mappings(node: Node | None) -> Iterator[Mapping]:
    if isinstance(node, Mapping):
        yield node
        for entry in node.entries:
            yield from _mappings(entry.value)
    elif isinstance(node, Sequence):
        for item in node.items:
            yield from _mappings(item)
