"""From offsets in a condition back to the file."""

from __future__ import annotations

import pytest

from policy_service.language.offsets import source_indexes
from policy_service.language.yaml_text import locate
from tests.property.test_places import scalar_of


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
