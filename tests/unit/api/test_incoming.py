"""The strict reading of a request's parts: size, content type, query."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from policy_service.api.incoming import Incoming, check_content_type, read_body, read_flag, read_number, read_query
from policy_service.model.errors import RequestError


async def _chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def _read(headers: list[tuple[bytes, bytes]], *parts: bytes, limit: int = 10) -> bytes:
    return asyncio.run(read_body(headers, _chunks(*parts), limit))


def test_a_body_within_its_limit_is_read_whole() -> None:
    """The limit itself is within."""
    assert _read([(b"content-length", b"10")], b"12345", b"67890") == b"1234567890"
    assert _read([]) == b""


@pytest.mark.parametrize(
    ("headers", "parts"),
    [
        ([(b"content-length", b"11")], [b""]),
        ([(b"content-length", b"9" * 40)], [b""]),
        ([], [b"12345", b"678901"]),
        ([(b"content-length", b"1")], [b"12345678901"]),
        ([(b"content-length", b"x")], [b"12345678901"]),
    ],
    ids=["announced", "announced beyond all measure", "chunked", "announced too little", "announced nonsense"],
)
def test_an_oversized_body_is_413_however_it_comes(headers: list[tuple[bytes, bytes]], parts: list[bytes]) -> None:
    """By its announced length where there is one, else while it is read."""
    with pytest.raises(RequestError) as caught:
        _read(headers, *parts)
    assert (caught.value.code, caught.value.status) == ("body_too_large", 413)


def test_reading_stops_at_the_limit() -> None:
    """What comes after is never asked for."""

    async def endless() -> AsyncIterator[bytes]:
        yield b"12345678901"
        raise AssertionError("read past the limit")

    with pytest.raises(RequestError):
        asyncio.run(read_body([], endless(), 10))


def _with(name: str, value: str) -> Incoming:
    return Incoming(((name.encode(), value.encode()),), None, b"")


@pytest.mark.parametrize(
    "value",
    [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/ld+json",
        "",
        "application/x-www-form-urlencoded",
    ],
)
def test_json_by_any_usual_name_is_read(value: str) -> None:
    """And what `curl -d` says when nobody told it otherwise."""
    check_content_type(_with("content-type", value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content-type", "text/xml"),
        ("content-type", "multipart/form-data; boundary=x"),
        ("content-type", "application/json; charset=latin-1"),
        ("content-encoding", "gzip"),
    ],
)
def test_what_says_of_itself_that_it_is_no_plain_json_is_415(name: str, value: str) -> None:
    """Clearly wrong, so refused."""
    with pytest.raises(RequestError) as caught:
        check_content_type(_with(name, value))
    assert (caught.value.code, caught.value.status) == ("unsupported_media_type", 415)


def test_a_query_gives_its_parameters() -> None:
    """Percent-encoding and plus signs are undone."""
    assert read_query(b"limit=5&cursor=a%20b+c", ("limit", "cursor")) == {"limit": "5", "cursor": "a b c"}
    assert read_query(b"", ("limit",)) == {}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (b"limt=5", "unknown_parameter"),
        (b"limit=1&limit=2", "duplicate_parameter"),
        (b"limit=%00", "invalid_parameter"),
        (b"%00=1", "unknown_parameter"),
        (b"limit=%0a", "invalid_parameter"),
    ],
)
def test_a_bad_query_is_400(query: bytes, code: str) -> None:
    """With a message in one line."""
    with pytest.raises(RequestError) as caught:
        read_query(query, ("limit",))
    assert caught.value.code == code
    assert caught.value.message.isprintable()
    assert caught.value.details["errors"][0]["path"].startswith("?")


def test_the_near_parameter_is_named() -> None:
    """A typo is the usual reason."""
    with pytest.raises(RequestError, match="did you mean `limit`"):
        read_query(b"limt=5", ("limit", "cursor"))


def test_flags_and_numbers_have_one_spelling() -> None:
    """`1`, `yes` and `TRUE` are no flags; `+5`, `5.0` and Arabic digits are no numbers."""
    assert read_flag({"explain": "true"}, "explain")
    assert not read_flag({"explain": "false"}, "explain")
    assert not read_flag({}, "explain")
    assert read_number({"limit": "5"}, "limit") == 5
    assert read_number({}, "limit") is None
    for value in ("1", "yes", "TRUE", ""):
        with pytest.raises(RequestError):
            read_flag({"explain": value}, "explain")
    for value in ("+5", "5.0", "٥", "", "-1", "9" * 10):
        with pytest.raises(RequestError):
            read_number({"limit": value}, "limit")
