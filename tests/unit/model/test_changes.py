"""Changes and their hash chain; canonical JSON."""

from __future__ import annotations

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from policy_service.model.canonical import canonical_text, sha256_hex
from policy_service.model.changes import GENESIS_HASH, Change, ChangeDraft, Effect, chain

DRAFT = ChangeDraft(
    action="user.put",
    workspace="demo",
    subject="demo/ada",
    effects=(Effect("user", ("demo", "ada"), None, {"workspace": "demo", "id": "ada"}),),
    note="hired",
    sealed='{"verifiers":{}}',
)
CHANGE = chain(DRAFT, revision=1, at=1_795_500_199_000_000_001, actor="local:0", previous_hash=GENESIS_HASH)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(max_codepoint=0xD7FF)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(max_codepoint=0xD7FF)), inner),
)


@given(JSON)
def test_canonical_text_is_rfc_8785_where_that_is_exact(value: object) -> None:
    """Strings, integers within 2^53 and names from the basic plane: byte for byte the standard's form."""
    assert canonical_text(value).encode() == rfc8785.dumps(value)


def test_integers_stay_exact_beyond_2_53() -> None:
    """Times in nanoseconds need more than a double holds."""
    assert canonical_text({"b": 2**63, "a": [1.0]}) == '{"a":[1.0],"b":9223372036854775808}'


@pytest.mark.parametrize("field", [f for f in Change.__struct_fields__ if f not in {"hash", "sealed"}])
def test_every_field_is_covered_by_the_hash(field: str) -> None:
    """Whatever is altered, the hash no longer fits."""
    other = {"revision": 2, "at": 0, "effects": (), "workspace": None, "sealed_sha256": "0" * 64}.get(field, "other")
    altered = msgspec.structs.replace(CHANGE, **{field: other})
    assert CHANGE.is_intact()
    assert not altered.is_intact()


def test_the_chain_verifies_without_its_secrets_but_not_with_others() -> None:
    """Secrets may be taken out of a copy, never exchanged."""
    assert msgspec.structs.replace(CHANGE, sealed=None).is_intact()
    assert not msgspec.structs.replace(CHANGE, sealed='{"verifiers":{"x":{}}}').is_intact()
    assert CHANGE.sealed_sha256 == sha256_hex('{"verifiers":{}}')
