"""Laying out the files of a folder in place."""

from __future__ import annotations

from pathlib import Path

import msgspec

from policy_service.language.layout import lay_out
from policy_service.language.report import Report
from policy_service.model.spans import Diagnostic
from policy_service.service.policies.policy_files import replace_file
from policy_service.service.policies.policy_folder import scan_folder


class LaidOut(msgspec.Struct, frozen=True):
    """Which files were, or would be, changed; and why others could not be."""

    folder: Path
    changed: tuple[str, ...]
    diagnostics: tuple[Diagnostic, ...]


def lay_out_folder(path: Path, *, write: bool) -> LaidOut:
    """Lay out every file that can be read: rule files, tests, invariants.

    Args:
        write: or only look.

    Raises:
        UsageError: there is no folder, or a file cannot be written.
    """
    folder, report, changed = scan_folder(path), Report(), []
    for file, text in folder.files.items():
        after = lay_out(file, text, own := Report())
        for one in own.sorted():
            report.add(one.code, one.message, one.span, one.path, one.severity)
        if after is not None and after != text:
            changed.append(file)
            if write:
                replace_file(path / file, after)
    everything = sorted((*folder.diagnostics, *report.sorted()), key=Diagnostic.sort_key)
    return LaidOut(path, tuple(changed), tuple(everything))
