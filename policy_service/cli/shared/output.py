"""Writing what a command made into files that its user named."""

from __future__ import annotations

from pathlib import Path

from policy_service.model.errors import UsageError


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file, its folders made as needed.

    Raises:
        UsageError: `unwritable`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    except OSError as error:
        reason = (error.strerror or "output failed").lower()
        raise UsageError("unwritable", f"cannot write `{error.filename or path}`: {reason}") from None
