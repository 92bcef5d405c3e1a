"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from sqlalchemy import BigInteger, Boolean, Dialect, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import mapped_column
from sqlalchemy.types import TypeDecorator, TypeEngine

from policy_service.model.canonical import canonical_plain, canonical_text
from policy_service.model.errors import StoreError

# Text sorts by code point, as SQLite and Python do: cursors and lists must not depend on a server's locale.
_POSTGRES_TEXT: Final = postgresql.TEXT(collation="C")
TEXT: Final[TypeEngine[str]] = Text().with_variant(_POSTGRES_TEXT, "postgresql")
INTEGER: Final[TypeEngine[int]] = BigInteger()


class Json(TypeDecorator[Any]):
    """A JSON value as canonical text.

    Text and not the database's JSON type: that would round large integers, reorder members and refuse `\\u0000`. The
    standard library's parser is the exact inverse of the canonical encoder, whatever the size of a number.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The same text type as every other column's."""
        return _POSTGRES_TEXT if dialect.name == "postgresql" else Text()

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - the same on both
        """Encode. None is SQL's NULL: no fact has a JSON null as a whole column."""
        return None if value is None else canonical_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 - the same on both
        """Decode. Raises StoreError `store_damaged` where the text is not JSON."""
        try:
            return None if value is None else json.loads(value)
        except ValueError as error:
            raise StoreError(
                "store_damaged", "a stored JSON text cannot be read; restore the database from a backup"
            ) from error


class PlainJson(Json):
    """A JSON value that is known to hold no floats: its text is the same, and made ten times as fast."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - the same on both
        """Encode, as Json does."""
        return None if value is None else canonical_plain(value).decode()


Name = Annotated[str, mapped_column(TEXT)]
Part = Annotated[str, mapped_column(TEXT, primary_key=True)]
"""Part of a primary key; the columns of a composite key stand in the order of the fact's `key_fields`."""
Number = Annotated[int, mapped_column(INTEGER)]
Flag = Annotated[bool, mapped_column(Boolean)]
Document = Annotated[Any, mapped_column(Json)]
Plain = Annotated[Any, mapped_column(PlainJson)]
