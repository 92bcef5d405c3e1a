"""From offsets in a condition back to the file."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from policy_service.language.offsets import source_indexes
from policy_service.language.report import Report
from policy_service.language.yaml_nodes import Mapping, Scalar
from policy_service.language.yaml_reader import read_yaml
from policy_service.language.yaml_text import locate

WHITE = " \t\r\n"


def scalar_of(text: str) -> Scalar | None:
    """The value of the only member, if the text is such a document."""
    node = read_yaml("f.yaml", text, Report())
    value = node.entries[0].value if isinstance(node, Mapping) and node.entries else None
    return value if isinstance(value, Scalar) else None


def place_of(text: str, needle: str) -> tuple[int, int]:
    """Line and column of `needle` in the scalar's value, mapped back."""
    scalar = scalar_of(text)
    assert scalar is not None
    return locate(text, source_indexes(scalar, text)[scalar.value.index(needle)])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("when: aa && X\n", (1, 13)),
        ("when: 'it''s && X'\n", (1, 17)),
        ('when: "\\"a\\" && X"\n', (1, 17)),
        ('when: "\\u00e9 && X"\n', (1, 18)),
        ('when: "a &&\n  \\tX"\n', (2, 5)),
        ('when: "a && \\\n   X"\n', (2, 4)),
        ("when: |\n  a &&\n    X\n", (3, 5)),
        ("when: |2-  # why\n\n  a &&\n\n    X\n", (5, 5)),
        ("when: >\n  a &&\n  b &&\n\n  X\n", (5, 3)),
        ("when: >-\n  a &&\n    X\n", (3, 5)),
        ("when: a &&\n  b &&\n\n  X\n", (4, 3)),
        ("when: 'a &&\n\n  X'\n", (3, 3)),
        ("wh𝒳n: é && X\n", (1, 12)),
        ("when: |\r\n  a &&\r\n    X\r\n", (3, 5)),
    ],
)
def test_a_character_is_found_where_it_was_written(text: str, place: tuple[int, int]) -> None:
    """In every style of scalar: plain, quoted, literal, folded, over several lines."""
    assert place_of(text, "X") == place


words = st.text(alphabet="aé𝒳'\"\\ \t\n#:|>&-", max_size=30)
headers = st.sampled_from(["", "'", '"', "|\n  ", "|-\n  ", ">\n  ", ">+\n   ", "|1\n "])


@given(words, headers)
def test_every_black_character_maps_to_itself(body: str, header: str) -> None:
    """Except for escapes, the source holds at the mapped place the character of the value; places only go forward."""
    indent = "  " if header[:1] in ("|", ">") else ""
    text = "k: " + header + body.replace("\n", "\n" + indent) + (header if header in ("'", '"') else "")
    scalar = scalar_of(text)
    assume(scalar is not None and scalar.value != "")
    assert scalar is not None
    indexes = source_indexes(scalar, text)
    assert len(indexes) == len(scalar.value) + 1
    assert indexes == sorted(indexes)
    for char, index in zip(scalar.value, indexes, strict=False):
        assert char in WHITE or text[index] in (char, "\\")


@given(st.text(alphabet='aé"\\/ \t\nx', max_size=20), st.sampled_from(["\\x61", "\\u0061", "\\n", "\\ ", "\\t", '\\"']))
def test_escapes_map_to_their_backslash(body: str, escape: str) -> None:
    """A character written as an escape is found at the escape."""
    text = f'k: "{body}Q{escape}R"'
    scalar = scalar_of(text)
    assume(scalar is not None and scalar.value.count("Q") == 1 and scalar.value.count("R") == 1)
    assert scalar is not None
    indexes = source_indexes(scalar, text)
    assert indexes[scalar.value.index("Q")] == text.index("Q")
    assert indexes[scalar.value.index("Q") + 1] == text.index("Q") + 1
    assert indexes[scalar.value.index("R")] == text.index("R")
