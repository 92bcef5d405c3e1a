"""Structs that carry a secret and do not show it, however they are printed."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class Discreet(msgspec.Struct, frozen=True, kw_only=True):
    """Base of structs with secret fields. `secret_fields` are shown as present or absent, never by value.

    INVARIANT: no secret in any representation (test_setup: nothing shown of these objects holds a secret).
    """

    secret_fields: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What rich prints; msgspec's own would show every field."""
        return [(name, self._shown(name)) for name in self.__struct_fields__]

    def _shown(self, name: str) -> Any:
        value = getattr(self, name)
        return "…" if name in self.secret_fields and value is not None else value
