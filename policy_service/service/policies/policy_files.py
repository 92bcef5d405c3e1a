"""Writing rule files and tests where their authors keep them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from policy_service.model.errors import UsageError


def replace_file(path: Path, text: str) -> None:
    """Put another text in place of a file's, at once: whoever reads it meanwhile gets the old one or the new one.

    Raises:
        UsageError: `unwritable`.
    """
    try:
        target = path.resolve()
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        Path(name).chmod(target.stat().st_mode & 0o777)
        Path(name).replace(target)
    except OSError as error:
        reason = (error.strerror or "output failed").lower()
        raise UsageError("unwritable", f"cannot write `{path}`: {reason}") from None


def begin_file(path: Path, text: str) -> None:
    """Write a file that is not there yet, and the folders above it.

    Raises:
        UsageError: `unwritable`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        reason = (error.strerror or "output failed").lower()
        raise UsageError("unwritable", f"cannot write `{path}`: {reason}") from None
