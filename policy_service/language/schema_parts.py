"""The parts that JSON Schemas of our files are made of."""

from __future__ import annotations

import re
from typing import Any, Final

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def file_schema(title: str, description: str, required: list[str], properties: Schema) -> Schema:
    """A whole file: a mapping of its fields."""
    return {"$schema": DIALECT, "title": title, **object_of(description, required, properties)}


def object_of(description: str, required: list[str], properties: Schema) -> Schema:
    """A mapping of these fields and no others."""
    return {
        "description": description,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def map_of(description: str, keys: re.Pattern[str], values: Schema) -> Schema:
    """A mapping from names of the author's choice."""
    return {
        "description": description,
        "type": "object",
        "propertyNames": {"pattern": anchored(keys)},
        "additionalProperties": values,
    }


def anchored(pattern: re.Pattern[str]) -> str:
    """A pattern that must match the whole text."""
    return f"^(?:{pattern.pattern})$"


def string(description: str, pattern: re.Pattern[str] | None = None) -> Schema:
    """A text, of a form perhaps."""
    text: Schema = {"description": description, "type": "string"}
    return text if pattern is None else {**text, "pattern": anchored(pattern)}


def list_of(description: str, items: Schema, at_least: int = 0) -> Schema:
    """A list of items alike."""
    return {"description": description, "type": "array", "items": items, "minItems": at_least}
