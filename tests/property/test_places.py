"""Theorems about places: from an offset in a condition back to the character in the file."""

from __future__ import annotations

from hypothesis import assume, example, given
from hypothesis import strategies as st

from policy_service.language.offsets import source_indexes
from policy_service.language.report import Report
from policy_service.language.yaml_nodes import Mapping, Scalar
from policy_service.language.yaml_reader import read_yaml

WHITE = " \t\r\n"


def scalar_of(text: str) -> Scalar | None:
    """The value of the only member, if the text is such a document."""
    node = read_yaml("f.yaml", text, Report())
    value = node.entries[0].value if isinstance(node, Mapping) and node.entries else None
    return value if isinstance(value, Scalar) else None


words = st.text(alphabet="aé𝒳'\"\\ \t\n#:|>&-", max_size=30)
headers = st.sampled_from(["", "'", '"', "|\n  ", "|-\n  ", ">\n  ", ">+\n   ", "|1\n "])


@example("a\n\nb", '"')
@example("a\\x61 \\\n  b", '"')
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


@given(words.filter(str.strip), words)
def test_what_does_not_align_is_placed_at_its_start(body: str, other: str) -> None:
    """A scalar held against another text, which never happens: a place all the same, and no exception."""
    scalar = scalar_of(f'k: "Q{"".join(filter(str.isalpha, body))}"')
    assert scalar is not None
    text = "k: '" + other.replace("'", "").replace("Q", "") + "'" + " " * 80
    assert source_indexes(scalar, text) == [scalar.start.offset] * (len(scalar.value) + 1)
