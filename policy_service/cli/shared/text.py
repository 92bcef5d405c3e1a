"""Making text from data safe to show on a terminal."""

from __future__ import annotations

import json
import unicodedata
from typing import Any, Final

_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Controls (escape sequences among them), format characters (bidirectional overrides, zero widths), lone surrogates,
line and paragraph separators: each could make a screen show something else than what is stored."""


def _is_unsafe(character: str) -> bool:
    return unicodedata.category(character) in _UNSAFE


def _escape(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def visible(text: str, *, keep_lines: bool = False) -> str:
    """The text with every control and bidirectional character spelled out, such as `\\x1b` or `\\u202e`.

    Args:
        keep_lines: line feeds and tabs stay: for text of our own with several lines.
    """
    if text.isascii() and text.isprintable():
        return text
    kept = "\n\t" if keep_lines else ""
    return "".join(_escape(c) if _is_unsafe(c) and c not in kept else c for c in text)


def _json_escape(character: str) -> str:
    if not _is_unsafe(character) or character == "\n":
        return character
    return f"\\u{ord(character):04x}" if ord(character) <= 0xFFFF else json.dumps(character)[1:-1]


def visible_json(value: Any) -> str:
    """Indented JSON whose strings hold no raw control or bidirectional characters; it reads back as the same value."""
    return visible_json_text(json.dumps(value, ensure_ascii=False, indent=2))


def visible_json_text(text: str) -> str:
    """The same for JSON that is text already."""
    return text if text.isascii() and "\x7f" not in text else "".join(map(_json_escape, text))
