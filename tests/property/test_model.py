"""Theorems about the nouns: keys, names, instants, errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from policy_service.model.api_key import ALPHABET, format_api_key, holds_api_key, key_form, parse_api_key
from policy_service.model.canonical import canonical_plain, canonical_text
from policy_service.model.errors import PolicyErrors, RequestError
from policy_service.model.instants import MAX_NS, MIN_NS, format_rfc3339, parse_rfc3339
from policy_service.model.names import RESOURCE_ID, split_resource
from policy_service.model.reasons import REASONS, http_status
from policy_service.model.spans import Diagnostic, Span
from policy_service.model.values import ABSENT, WRONG

BASE62 = st.text(ALPHABET, min_size=12, max_size=12)
SECRETS = st.text(ALPHABET, min_size=22, max_size=22)
PREFIXES = st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=10)
INSTANTS = st.integers(MIN_NS, MAX_NS)
TEXTS = st.text(st.characters(codec="utf-8"))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=12,
)


@given(PREFIXES, BASE62, SECRETS)
def test_a_key_reads_as_it_was_written_and_never_shows_its_secret(prefix: str, key_id: str, secret: str) -> None:
    """Format and parse are inverse."""
    parsed = parse_api_key(format_api_key(prefix, key_id, secret))
    assert parsed is not None
    assert (parsed.prefix, parsed.id, parsed.secret) == (prefix, key_id, secret)
    assert secret not in repr(parsed)


@given(PREFIXES, BASE62, SECRETS, st.integers(0, 60), st.sampled_from(ALPHABET))
def test_one_mistyped_character_makes_a_key_malformed(
    prefix: str, key_id: str, secret: str, at: int, other: str
) -> None:
    """CRC-32 finds every error of one character."""
    text = format_api_key(prefix, key_id, secret)
    assume(at < len(text) and text[at] != other and text[at] != "_")
    mistyped = text[:at] + other + text[at + 1 :]
    assert parse_api_key(mistyped) is None
    assert key_form(mistyped).problem is not None
    assert key_form(text).problem is None


@given(PREFIXES, BASE62, SECRETS, st.text(max_size=8), st.text(max_size=8))
def test_a_key_is_found_wherever_it_stands(prefix: str, key_id: str, secret: str, before: str, after: str) -> None:
    """Whatever stands around it; and one that is mistyped is not taken for one."""
    text = format_api_key(prefix, key_id, secret)
    assert holds_api_key(f"{before}{text}{after}")
    mistyped = f"{text[:-1]}{'0' if text[-1] != '0' else '1'}"
    assert not holds_api_key(f" {mistyped} ")


@given(st.text(max_size=60))
def test_other_text_is_no_key(text: str) -> None:
    """Nothing is a key by accident."""
    assert parse_api_key(text) is None


@example(1_500_000_000)
@example(MAX_NS)
@given(INSTANTS)
def test_an_instant_reads_as_it_was_written(instant: int) -> None:
    """To the nanosecond, over ten thousand years."""
    assert parse_rfc3339(format_rfc3339(instant)) == instant


@given(INSTANTS, st.integers(-1439, 1439))
def test_an_instant_is_the_same_at_every_offset(instant: int, minutes: int) -> None:
    """Written in local time with its offset, it is the instant that the standard library says."""
    local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant // 1000)
    assume(datetime(2, 1, 1, tzinfo=UTC) < local < datetime(9998, 1, 1, tzinfo=UTC))
    there = (local + timedelta(minutes=minutes)).replace(tzinfo=None).isoformat()
    sign = "-" if minutes < 0 else "+"
    text = f"{there}{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    assert parse_rfc3339(text) == instant // 1000 * 1000


NO_INSTANTS = (
    "", "2026-06-01", "2026-06-01T12:00:00", "2026-06-01 12:00:00Z", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z",
    "2026-06-01T24:00:00Z", "2026-06-01T12:00:60Z", "2026-06-01T12:00:00+24:00", "2026-06-01T12:00:00+01:60",
    "2026-06-01T12:00:00.Z", "2026-06-01T12:00:00.1234567890Z", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "٢026-06-01T12:00:00Z", "2026-06-01T12:00:00Z\n",
)  # fmt: skip


@given(st.sampled_from(NO_INSTANTS))
def test_what_is_nearly_an_instant_is_none(text: str) -> None:
    """RFC 3339 to the letter, and no leap seconds."""
    assert parse_rfc3339(text) is None


@example("a:b:c")
@example("a:")
@example(":b")
@given(st.text("ab:-/ A9", max_size=8))
def test_a_resource_is_split_at_the_first_colon(text: str) -> None:
    """Or is none, where a half is not a name of its kind."""
    kind, _, identity = text.partition(":")
    well_formed = kind[:1].islower() and kind.replace("-", "a").isalnum() and kind.lower() == kind
    if well_formed and RESOURCE_ID.fullmatch(identity):
        assert split_resource(text) == (kind, identity)
    else:
        assert split_resource(text) is None


@given(st.sampled_from(sorted(REASONS)), st.from_regex(r"[a-z][a-z0-9_]*", fullmatch=True))
def test_a_built_in_reason_has_its_status_and_any_other_is_403(built_in: str, own: str) -> None:
    """401 where another key would help, 403 where none does."""
    assert http_status(built_in) == REASONS[built_in].http_status
    assert http_status(own) == (REASONS[own].http_status if own in REASONS else 403)


@given(
    st.lists(
        st.builds(
            Diagnostic,
            code=st.just("x"),
            message=st.text(max_size=3),
            span=st.builds(Span, file=st.sampled_from("ab"), line=st.integers(1, 9), column=st.integers(1, 9)),
        )
    )
)
def test_errors_list_every_diagnostic_in_reading_order(found: list[Diagnostic]) -> None:
    """All of them, each on a line of its own, and their number."""
    error = PolicyErrors(found)
    assert list(error.diagnostics) == sorted(found, key=Diagnostic.sort_key)
    assert str(error) == "\n".join(map(str, error.diagnostics))
    assert error.message.startswith(f"the rule files have {len(found)} error")


@given(PLAIN)
def test_plain_values_have_one_canonical_form(value: Any) -> None:
    """The fast way gives the same bytes: integers of any size, control characters, members in any order."""
    assert canonical_plain(value).decode() == canonical_text(value)


@given(st.builds(Span, file=st.text(max_size=3), line=st.integers(1, 9), end_column=st.integers(1, 9)), st.text())
def test_a_diagnostic_s_document_is_all_of_it(span: Span, message: str) -> None:
    """For editors: nothing of it is left out."""
    document = Diagnostic("x", message, span, "$.a", "warning").document()
    place = {name: document.pop(name) for name in Span.__struct_fields__}
    assert Diagnostic(**document, span=Span(**place)) == Diagnostic("x", message, span, "$.a", "warning")


def test_errors_of_requests_and_missing_values_say_what_they_are() -> None:
    """A code, a status, details; a name to read in a test's output."""
    error = RequestError("not_found", "there is none", {"id": "x"}, status=404)
    assert (error.code, error.message, error.details, error.status) == ("not_found", "there is none", {"id": "x"}, 404)
    assert (repr(ABSENT), repr(WRONG)) == ("ABSENT", "WRONG")
