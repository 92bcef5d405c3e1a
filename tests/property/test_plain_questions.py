"""What is read at once is what the slow, explaining reading would have read; it refuses nothing by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.api.bodies import BatchItem, DecideBody
from policy_service.api.decide import MAY_HOLD_CONTROLS, _ask
from policy_service.api.json_reader import BATCH_DEPTH, check_texts, decode, parse, read_json
from policy_service.api.plain_questions import read_batch, read_question
from policy_service.api.tracing import Trace
from policy_service.api.validation import validate
from policy_service.model.errors import RequestError
from policy_service.service.deciding.decisions import Ask
from tests.property.drawing import coin, pick
from tests.property.test_lane import BAD_JSON, bodies

TRACE = Trace("r", "t", "s")
PLAIN = b'{"scope":"a:b","resource":"pipeline:x"}'
NUMBERS = ("0", "-0", "-0.0", "1e2", "1E-400", "9223372036854775807", "9223372036854775808", "-9223372036854775808")
LONG_NUMBERS = ("18446744073709551616", "123456789012345678901234567890", "1" * 400, "1e19", "0.1", "-1.5e300")


def slowly(body: bytes) -> Ask | None:
    """The question as the route reads it; None where the route refuses it."""
    try:
        return _ask(validate(DecideBody, read_json(body, exempt=MAY_HOLD_CONTROLS)), TRACE)
    except RequestError:
        return None


def slowly_together(body: bytes) -> list[Ask] | None:
    """The questions of a batch as the route reads them; None where it refuses the batch or any of them."""
    try:
        items = parse(decode(body), BATCH_DEPTH)["requests"]
        for item in items:
            check_texts(item, MAY_HOLD_CONTROLS)
        return [_ask(validate(BatchItem, item), TRACE) for item in items]
    except (RequestError, KeyError, TypeError):
        return None


@st.composite
def members(draw: st.DrawFn) -> str:
    """One member, written by hand: what no encoder would write is among them."""
    name = pick(draw, ("scope", "resource", "key", "source_ip", "context", "min_revision", "id", "type", "x"))
    return f'"{name}":{draw(values())}'


def values() -> st.SearchStrategy[str]:
    """JSON text of a value, or what looks like one."""
    atoms = st.sampled_from(
        [
            "null",
            "true",
            '""',
            '"a:b"',
            '"pipeline:x"',
            '"pipeline"',
            '"\u00e9"',
            '"\x85"',
            '"\x7f"',
            *NUMBERS,
            *LONG_NUMBERS,
        ]
    )
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]"),
            st.lists(st.tuples(st.sampled_from("ab"), inner), max_size=3).map(
                lambda pairs: "{" + ",".join(f'"{name}":{value}' for name, value in pairs) + "}"
            ),
            st.tuples(st.sampled_from(("pipeline", "Bad")), st.sampled_from(("x", "-"))).map(
                lambda pair: f'{{"type":"{pair[0]}","id":"{pair[1]}"}}'
            ),
        ),
        max_leaves=8,
    )


@st.composite
def objects(draw: st.DrawFn) -> bytes:
    """An object, often with members that stand twice."""
    parts = draw(st.lists(members(), max_size=3))
    parts += draw(st.sampled_from([[], ['"scope":"a:b"', '"resource":"pipeline:x"']]))
    return ("{" + ",".join(parts) + "}").encode()


@given(st.one_of(bodies("/decide"), objects(), st.sampled_from(BAD_JSON)))
def test_what_is_read_at_once_is_what_the_route_reads(body: bytes) -> None:
    """Where it is not read, the route says why, or reads it."""
    read = read_question(body, TRACE)
    assert read is None or read == slowly(body)
    assert read is None or json.dumps(read.context) == json.dumps(slowly(body).context)  # type: ignore[union-attr]  # -0.0 too


@given(st.data())
def test_a_batch_is_read_at_once_as_the_route_reads_it(data: st.DataObject) -> None:
    """All of it, or nothing."""
    if coin(data.draw, 3):
        body = data.draw(bodies("/decide/batch"))
    else:
        items = data.draw(st.lists(objects(), max_size=3))
        body = b'{"requests":[' + b",".join(items) + b"]" + pick(data.draw, (b"", b',"requests":[]')) + b"}"
    read = read_batch(body, TRACE)
    assert read is None or read == slowly_together(body)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"key": None, "source_ip": None, "context": None, "min_revision": None},
        {"key": "psx_x", "source_ip": "203.0.113.7", "min_revision": 0},
        {"context": {"a": ["b", {"c": "d", "e": 1.5}], "f": {}, "g": None, "h": True}},
        {"resource": {"type": "pipeline", "id": "x", "workspace": "w", "owner": None, "attributes": {"a": "é"}}},
        {"scope": ""},
    ],
)
def test_usual_questions_are_read_at_once(members: dict[str, Any]) -> None:
    """Else nothing above would say much."""
    question = {"scope": "a:b", "resource": "pipeline:x", **members}
    for indent in (None, 2):
        body = json.dumps(question, indent=indent, ensure_ascii=False).encode()
        assert read_question(body, TRACE) == slowly(body) is not None
        batch = json.dumps({"requests": [question, {**question, "id": "row"}]}, ensure_ascii=False).encode()
        assert read_batch(batch, TRACE) == slowly_together(batch) is not None


@pytest.mark.parametrize("value", NUMBERS + LONG_NUMBERS)
def test_numbers_are_the_same_on_both_ways(value: str) -> None:
    """Or left to the slow one."""
    body = PLAIN[:-1] + b',"context":{"n":' + value.encode() + b"}}"
    read, slow = read_question(body, TRACE), slowly(body)
    assert read is None or (slow is not None and repr(read.context) == repr(slow.context))


def test_what_is_never_read_at_once() -> None:
    """Escapes, deep claims, controls, what is no UTF-8, members that stand twice."""
    twice = PLAIN[:-1]
    for body in (
        PLAIN.replace(b"a:b", b"a\\u003ab"),
        twice + b',"scope":"a:b"}',
        twice + b',"key":null,"key":null}',
        twice + b',"context":{"a":1,"a":1}}',
        twice + b',"context":{"a":[{"b":1,"b":1}]}}',
        twice + b',"context":' + b'{"a":' * 20 + b"1" + b"}" * 20 + b"}",
        twice + b',"key":"\x7f"}',
        twice + b',"key":"\xc2\x85"}',
        twice + b',"key":"\xff"}',
        b"",
    ):
        assert read_question(body, TRACE) is None
        assert read_batch(b'{"requests":[' + body + b"]}", TRACE) is None
