"""The strict reader of YAML: what it takes, what it refuses, and where it says things stand."""

from __future__ import annotations

import pytest
import yaml

from policy_service.language.report import Report
from policy_service.language.yaml_nodes import Mapping, Mark, Node, Scalar, Sequence
from policy_service.language.yaml_reader import MAX_DEPTH, MAX_NODES, MAX_SCALAR, read_yaml
from tests.unit.language.folders import shipped


def read(text: str) -> tuple[Node | None, list[str]]:
    """The node, and every diagnostic as `line:column code`."""
    report = Report()
    node = read_yaml("f.yaml", text, report)
    return node, [f"{d.span.line}:{d.span.column} {d.code}" for d in report.sorted()]


def plain(node: Node | None) -> object:
    """The tree without its places."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    if isinstance(node, Mapping):
        return {entry.key.value: plain(entry.value) for entry in node.entries}
    return None


def test_a_document_becomes_nodes_and_nothing_is_converted() -> None:
    """Scalars stay text, whatever other readers would make of them."""
    node, found = read("a: 1\nb: [yes, ~, '2']\nc:\n  d: |\n    x\n")
    assert found == []
    assert plain(node) == {"a": "1", "b": ["yes", "~", "2"], "c": {"d": "x\n"}}


def test_marks_count_code_points() -> None:
    """A character outside the BMP, or an accent, is one column."""
    node, _ = read("é: 1\n𝒳𝒳: {ü: y}\n")
    assert isinstance(node, Mapping)
    inner = node.entries[1].value
    assert isinstance(inner, Mapping)
    assert inner.entries[0].value.start == Mark(13, 1, 8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2\n", ["2:1 duplicate-key"]),
        ("a: 1\n'a': 2\n", ["2:1 duplicate-key"]),
        ("a: &x 1\n", ["1:4 yaml-anchor"]),
        ("a: &x [1]\nb: *x\n", ["1:4 yaml-anchor", "2:4 yaml-alias"]),
        ("a: !!str 1\n", ["1:4 yaml-tag"]),
        ("a: !has(x)\n", ["1:4 yaml-tag"]),
        ("<<: {a: 1}\nb: 2\n", ["1:1 yaml-merge-key"]),
        ("a: 1\n---\nb: 2\n", ["2:1 yaml-documents"]),
        ("%YAML 1.1\n---\na: 1\n", ["1:1 yaml-directive"]),
        ("? [a]\n: 1\nb: 2\n", ["1:3 yaml-complex-key"]),
        ("a:\n\t- b\n", ["2:1 yaml-tab"]),
        ("a: b ? c : d\n", ["1:10 yaml-syntax"]),
        ('a: "x" in y\n', ["1:8 yaml-syntax"]),
        ("a: [1\nb: 2\n", ["2:2 yaml-syntax"]),
        ("a: @x\n", ["1:4 yaml-syntax"]),
        ("a: [*]\n", ["1:6 yaml-syntax"]),
        ("", ["1:1 empty-file"]),
        ("# only this\n", ["1:1 empty-file"]),
        ("a: b\x07\n", ["1:5 yaml-character"]),
        ("a: \ud800\n", ["1:4 yaml-character"]),
        ("a: b\u2028c\n", ["1:5 yaml-character"]),
        ("a: b\rc: d", ["1:5 yaml-character"]),
        ("a: \u202eb\n", ["1:4 yaml-character"]),
        ("a: \ufeffb\n", ["1:4 yaml-character"]),
    ],
)
def test_what_would_surprise_is_refused(text: str, expected: list[str]) -> None:
    """Every refusal has its code and stands at its place."""
    assert read(text)[1] == expected


def test_reading_goes_on_past_mistakes_that_leave_the_rest_readable() -> None:
    """One file reports its duplicate key, anchor, merge key and complex key in one go."""
    node, found = read("a: 1\na: [x, y]\n<<: {q: 1}\n? {k: v}\n: {z: 1}\nb: &n 2\n")
    assert found == ["2:1 duplicate-key", "3:1 yaml-merge-key", "4:3 yaml-complex-key", "6:4 yaml-anchor"]
    assert plain(node) == {"a": "1", "b": "2"}


def test_windows_line_ends_are_lines() -> None:
    """A carriage return before a line feed belongs to the line end."""
    node, found = read("a: 1\r\nb:\r\n  - c\r\n")
    assert found == []
    assert plain(node) == {"a": "1", "b": ["c"]}


def test_depth_is_bounded() -> None:
    """The collection past the bound is where reading stops."""
    assert read("[" * MAX_DEPTH + "]" * MAX_DEPTH)[1] == []
    assert read("[" * (MAX_DEPTH + 1))[1] == [f"1:{MAX_DEPTH + 1} yaml-too-deep"]


def test_the_number_of_values_is_bounded() -> None:
    """Past the bound reading stops with one diagnostic."""
    _, found = read("- a\n" * (MAX_NODES + 5))
    assert [line.split()[1] for line in found] == ["yaml-too-large"]


def test_the_length_of_a_text_is_bounded() -> None:
    """A scalar past the bound stops the reading where it starts."""
    assert read("a: " + "x" * (MAX_SCALAR + 1))[1] == ["1:4 yaml-too-large"]


@pytest.mark.parametrize("file", sorted(shipped()))
def test_the_parser_in_python_reads_the_same(file: str) -> None:
    """Where libyaml is not built in, the pure parser gives the same nodes at the same starts."""
    report = Report()
    pure = read_yaml(file, shipped()[file], report, loader=yaml.SafeLoader)
    fast = read_yaml(file, shipped()[file], report)
    assert report.sorted() == ()
    assert starts(pure) == starts(fast)


def starts(node: Node | None) -> object:
    """The tree with the starts of its scalars."""
    if isinstance(node, Scalar):
        return (node.value, node.style, node.start)
    if isinstance(node, Sequence):
        return [starts(item) for item in node.items]
    return [(starts(entry.key), starts(entry.value)) for entry in node.entries] if node else None
