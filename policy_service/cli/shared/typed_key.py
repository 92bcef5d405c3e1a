"""A key that is given to a command: by standard input, never as an argument, which others could see."""

from __future__ import annotations

import sys
from typing import Final

import typer

_MAX_KEY: Final = 1 << 16


def key_from_stdin() -> str | None:
    """The key, without the line's end; None when there is nothing: no key was presented."""
    if sys.stdin.isatty():
        text = typer.prompt("API key", hide_input=True, default="", show_default=False, err=True)
        return str(text) or None
    # Bytes: whatever is not UTF-8 makes a malformed key, not an error.
    return sys.stdin.buffer.read(_MAX_KEY).decode("utf-8", "replace").rstrip("\r\n") or None
