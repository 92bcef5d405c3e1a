"""A body against its model, with the mistakes told in the caller's words: all of them, each with its place.

| code | when |
|---|---|
| `missing_field` | a required member is absent |
| `unknown_field` | a member that the body does not have; the nearest one is named |
| `wrong_type` | text where a number belongs, and the like; nothing is converted |
| `invalid_value` | of the right type, but not of the right form |
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from policy_service.api.bodies import FORMS, OBJECT, TEXT
from policy_service.api.json_reader import show_path
from policy_service.model.errors import RequestError

B = TypeVar("B", bound=BaseModel)

MAX_ERRORS: Final = 20
"""Mistakes told at once."""

_EXPECTED: Final = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "an object",
    "model": "an object",
    "model_attributes": "an object",
}


def validate(model: type[B], value: Any) -> B:
    """The body that `value` (from `read_json`) is.

    Raises:
        RequestError: 400; `code` and message of the first mistake, all of them in details `errors`.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise refusal(_told(model, error)) from None


def refusal(mistakes: Iterable[dict[str, str]]) -> RequestError:
    """One error for one or more mistakes, each `{"code", "path", "detail"}`."""
    errors = list(mistakes)
    first = errors[0]
    more = f" (and {len(errors) - 1} more, see `errors`)" if len(errors) > 1 else ""
    return RequestError(first["code"], first["detail"] + more, {"errors": errors})


def mistake(code: str, path: tuple[str, ...], detail: str) -> dict[str, str]:
    """One entry of `errors`."""
    return {"code": code, "path": show_path(path), "detail": detail}


def near(name: str, known: Iterable[str]) -> str:
    """`; did you mean `x`?`, or nothing."""
    close = difflib.get_close_matches(name[:64], list(known), n=1)
    return f"; did you mean `{close[0]}`?" if close else ""


def _told(model: type[BaseModel], error: ValidationError) -> list[dict[str, str]]:
    found = error.errors(include_url=False)[:MAX_ERRORS]
    return [_tell(model, detail) for detail in found]


def _tell(model: type[BaseModel], detail: ErrorDetails) -> dict[str, str]:
    path = _path(detail["loc"])
    kind = detail["type"]
    if kind == "missing":
        return mistake("missing_field", path, f"`{show_path(path)}` is missing")
    if kind == "extra_forbidden":
        known = _members_at(model, detail["loc"][:-1])
        return mistake("unknown_field", path, f"unknown field `{show_path(path)}`{near(path[-1], known)}")
    expected = _expected(kind)
    if expected is not None:
        told = f"`{show_path(path)}` must be {expected}, not {_word(detail['input'])}"
        return mistake("wrong_type", path, told)
    return mistake("invalid_value", path, f"`{show_path(path)}` {_constraint(kind, detail.get('ctx', {}))}")


def _expected(kind: str) -> str | None:
    if kind == "union_tag_not_found":
        return "the text `type:id` or an object"
    return _EXPECTED.get(kind.removesuffix("_type")) if kind.endswith("_type") else None


def _constraint(kind: str, context: Mapping[str, Any]) -> str:
    """What a value of the right type lacks."""
    match kind:
        case "string_pattern_mismatch":
            return f"must be {FORMS.get(context['pattern'], context['pattern'])}"
        case "string_too_long":
            return f"must be at most {context['max_length']} characters long"
        case "too_short":
            return f"must have at least {_items(context['min_length'])}"
        case "too_long":
            return f"must have at most {_items(context['max_length'])}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "less_than_equal":
            return f"must be at most {context['le']}"
        case "literal_error":
            return f"must be {str(context['expected']).replace(chr(39), '`')}"
    return "is not valid"


def _items(count: int) -> str:
    return f"{count} element" if count == 1 else f"{count} elements"


def _word(value: Any) -> str:
    """The kind of a JSON value, as people say it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    words = {str: "text", int: "a number", float: "a number with a point", list: "a list", dict: "an object"}
    return words.get(type(value), "something else")


def _path(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """The place, without the tags of a union's forms, which are no members."""
    steps = (f"[{step}]" if isinstance(step, int) else step for step in loc)
    return tuple(step for step in steps if step not in (TEXT, OBJECT))


def _members_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> Iterable[str]:
    """The members that a body may have at a place: of the model that stands there."""
    for step in loc:
        field = model.model_fields.get(step) if isinstance(step, str) else None
        if field is not None:
            model = _model_in(field.annotation) or model
    return model.model_fields


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The one model inside an annotation such as `list[Model]` or `str | Model | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)
