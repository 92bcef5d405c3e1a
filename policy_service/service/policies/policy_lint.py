"""Linting a folder of rule files, and mending it in place."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from policy_service.analysis.lint.findings import Finding
from policy_service.analysis.lint.lint import Prover, fix, lint
from policy_service.language.load import load_policy
from policy_service.model.errors import UsageError
from policy_service.service.policies.policy_folder import read_folder


class Linted(msgspec.Struct, frozen=True):
    """What was found, after `mended` files were written anew."""

    folder: Path
    findings: tuple[Finding, ...]
    mended: tuple[str, ...] = ()


def lint_folder(path: Path, *, mend: bool, prover: Prover | None = None) -> Linted:
    """Lint the rule files of a folder.

    Args:
        mend: write what can be mended first.

    Raises:
        PolicyErrors: they have errors: half a policy means nothing.
        UsageError: there is no folder, or a file cannot be written.
    """
    files = read_folder(path)
    mended = fix(files, load_policy(files)) if mend else {}
    for file, text in mended.items():
        replace_file(path / file, text)
    files |= mended
    return Linted(path, lint(files, load_policy(files), prover), tuple(sorted(mended)))


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
