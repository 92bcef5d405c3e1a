"""What other YAML readers would take a plain scalar for."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policy_service.language.scalars import PLAIN_DOUBLE, PLAIN_INT, kind_of


@pytest.mark.parametrize(
    ("plain", "kind"),
    [
        ("yes", "bool"), ("No", "bool"), ("ON", "bool"), ("off", "bool"), ("true", "bool"), ("y", "text"),
        ("~", "null"), ("", "null"), ("null", "null"),
        ("12", "int"), ("-7", "int"), ("012", "int"), ("0o17", "int"), ("0x1F", "int"), ("1_000", "int"),
        ("12:30", "int"), ("190:20:30", "int"), ("0b101", "int"),
        ("1.5", "float"), ("1e3", "float"), ("-.inf", "float"), (".nan", "float"), ("190:20:30.15", "float"),
        ("2026-01-31", "timestamp"), ("2026-01-31T09:00:00Z", "timestamp"), ("2026-1-3 9:00:00", "timestamp"),
        ("etl-42", "text"), ("nope", "text"), ("10.0.0.0/8", "text"), ("::1", "text"), ("1.2.3", "text"),
        ("2026-01", "text"), ("onward", "text"), ("12:99", "text"),
    ],
)  # fmt: skip
def test_plain_scalars_are_told_apart(plain: str, kind: str) -> None:
    """The traps of YAML 1.1 are seen, and ordinary text is left alone."""
    assert kind_of(plain) == kind


@given(st.text(alphabet="0123456789+-.:_eExobyYnNtrfFaslTuZ~= ", max_size=12))
def test_whatever_pyyaml_converts_is_no_text(plain: str) -> None:
    """A scalar that we take for text is text to PyYAML as well: nobody can read it otherwise."""
    resolver = yaml.SafeLoader("")
    tag = resolver.resolve(yaml.ScalarNode, plain, (True, False))
    if tag.rpartition(":")[2] in ("bool", "int", "float", "null", "timestamp"):
        assert kind_of(plain) != "text"


@given(st.integers(-(10**18), 10**18))
def test_every_decimal_integer_is_a_plain_int(number: int) -> None:
    """The one spelling of an integer is its decimal digits."""
    assert PLAIN_INT.fullmatch(str(number))
    assert kind_of(str(number)) == "int"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_plain_double_is_a_float_to_yaml_too(number: float) -> None:
    """What we take for a double PyYAML takes for a float or an integer."""
    text = repr(number)
    if PLAIN_DOUBLE.fullmatch(text):
        assert isinstance(yaml.safe_load(text), float | int)
        assert not re.search("[eE][0-9]", text)


def test_very_long_text_is_not_looked_at_closely() -> None:
    """No number has hundreds of characters; matching stays cheap."""
    assert kind_of("1" * 10_000) == "text"
