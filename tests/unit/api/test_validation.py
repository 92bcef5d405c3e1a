"""Bodies against their models: every mistake told, in the caller's words."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import BaseModel

from policy_service.api.bodies import AllowlistBody, BatchEnvelope, DecideBody, KeyBody, RoleBindingBody, UserBody
from policy_service.api.validation import MAX_ERRORS, validate
from policy_service.model.errors import RequestError

FINE: dict[str, Any] = {"scope": "pipelines:run", "resource": "pipeline:etl"}

MISTAKES: dict[str, tuple[type[BaseModel], Any, str, str, str]] = {
    "no object": (DecideBody, [], "wrong_type", "$", "`$` must be an object, not a list"),
    "missing": (DecideBody, {"scope": "a"}, "missing_field", "$.resource", "`$.resource` is missing"),
    "unknown": (
        DecideBody,
        {**FINE, "sorce_ip": ""},
        "unknown_field",
        "$.sorce_ip",
        "unknown field `$.sorce_ip`; did you mean `source_ip`?",
    ),
    "unknown inside": (
        AllowlistBody,
        {"enabled": True, "entries": [{"cidr": "any", "lable": ""}]},
        "unknown_field",
        "$.entries[0].lable",
        "unknown field `$.entries[0].lable`; did you mean `label`?",
    ),
    "number for text": (
        DecideBody,
        {**FINE, "scope": 1},
        "wrong_type",
        "$.scope",
        "`$.scope` must be text, not a number",
    ),
    "null for text": (UserBody, {"name": None}, "wrong_type", "$.name", "`$.name` must be text, not null"),
    "bool for number": (
        DecideBody,
        {**FINE, "min_revision": True},
        "wrong_type",
        "$.min_revision",
        "`$.min_revision` must be a whole number, not true or false",
    ),
    "double for number": (
        DecideBody,
        {**FINE, "min_revision": 7.0},
        "wrong_type",
        "$.min_revision",
        "`$.min_revision` must be a whole number, not a number with a point",
    ),
    "text for bool": (UserBody, {"suspended": "true"}, "wrong_type", "$.suspended", "must be true or false, not text"),
    "list for object": (
        DecideBody,
        {**FINE, "context": []},
        "wrong_type",
        "$.context",
        "must be an object, not a list",
    ),
    "negative": (DecideBody, {**FINE, "min_revision": -1}, "invalid_value", "$.min_revision", "must be at least 0"),
    "too large": (
        DecideBody,
        {**FINE, "min_revision": 2**63},
        "invalid_value",
        "$.min_revision",
        "must be at most 9223372036854775807",
    ),
    "neither form": (
        DecideBody,
        {**FINE, "resource": 1},
        "wrong_type",
        "$.resource",
        "must be the text `type:id` or an object, not a number",
    ),
    "no type": (DecideBody, {**FINE, "resource": "etl"}, "invalid_value", "$.resource", "must be `type:id`, such as"),
    "newline after the id": (
        DecideBody,
        {**FINE, "resource": "a:b\n"},
        "invalid_value",
        "$.resource",
        "must be `type:id`",
    ),
    "bad type": (
        DecideBody,
        {**FINE, "resource": {"type": "A", "id": "b"}},
        "invalid_value",
        "$.resource.type",
        "must be lowercase letters",
    ),
    "typo in a resource": (
        RoleBindingBody,
        {"role": "viewer", "user": "a", "resource": {"type": "a", "id": "b", "ide": 1}},
        "unknown_field",
        "$.resource.ide",
        "did you mean `id`?",
    ),
    "empty batch": (BatchEnvelope, {"requests": []}, "invalid_value", "$.requests", "must have at least 1 element"),
    "long batch": (BatchEnvelope, {"requests": [0] * 1001}, "invalid_value", "$.requests", "at most 1000 elements"),
    "kind": (
        KeyBody,
        {"principal": {"kind": "robot", "id": "a"}, "scopes": ["a:b"]},
        "invalid_value",
        "$.principal.kind",
        "must be `user` or `service`",
    ),
    "long name": (UserBody, {"name": "x" * 257}, "invalid_value", "$.name", "at most 256 characters"),
}


@pytest.mark.parametrize(("model", "value", "code", "path", "told"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_code_and_place(
    model: type[BaseModel], value: Any, code: str, path: str, told: str
) -> None:
    """In the caller's words: no name of a Python type, no name of a class."""
    with pytest.raises(RequestError) as caught:
        validate(model, value)
    error = caught.value
    assert (error.code, error.status) == (code, 400)
    assert told in error.message
    (only,) = error.details["errors"]
    assert (only["code"], only["path"]) == (code, path)
    assert not re.search(r"\b(str|dict|int|bool|\w+Body|pydantic|Input)\b", error.message)


def test_all_mistakes_are_told_at_once() -> None:
    """The first one gives the code."""
    with pytest.raises(RequestError) as caught:
        validate(DecideBody, {"scope": 1, "extra": 2})
    assert caught.value.code == "wrong_type"
    assert caught.value.message.endswith("(and 2 more, see `errors`)")
    assert [error["code"] for error in caught.value.details["errors"]] == [
        "wrong_type",
        "missing_field",
        "unknown_field",
    ]


def test_the_number_of_mistakes_told_is_bounded() -> None:
    """A thousand unknown fields do not make a thousand lines."""
    with pytest.raises(RequestError) as caught:
        validate(DecideBody, {**FINE, **{f"x{number}": 1 for number in range(1000)}})
    assert len(caught.value.details["errors"]) == MAX_ERRORS


def test_absent_and_null_are_alike_where_a_member_may_be_absent() -> None:
    """A client that writes null for nothing is understood."""
    nothing = dict.fromkeys(("key", "source_ip", "context", "min_revision"))
    assert validate(DecideBody, {**FINE, **nothing}) == validate(DecideBody, FINE)
