"""Broken policy sets beside the exact diagnostics they must give.

After a deliberate change of a message: `python -m tests.unit.language.test_golden` writes the files anew; read the
difference before committing it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_service.language.load import load
from tests.unit.language.folders import GOLDEN, read_folder

CASES = sorted(folder for folder in GOLDEN.iterdir() if folder.is_dir())


def diagnostics(case: Path) -> str:
    """One line each, in reading order."""
    return "".join(f"{diagnostic}\n" for diagnostic in load(read_folder(case)).diagnostics)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_broken_policy_set_gives_exactly_the_expected_text(case: Path) -> None:
    """Every mistake of every file, in reading order, word for word."""
    assert diagnostics(case) == (case / "expected.txt").read_text()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_there_is_a_policy_if_and_only_if_there_is_no_error(case: Path) -> None:
    """Warnings stand beside a policy, errors never."""
    loaded = load(read_folder(case))
    assert (loaded.policy is None) == any(one.severity == "error" for one in loaded.diagnostics)


def test_no_message_spans_lines_or_shows_a_python_name() -> None:
    """Messages are one line each, in the author's words."""
    for case in CASES:
        for diagnostic in load(read_folder(case)).diagnostics:
            assert diagnostic.message.isprintable()
            assert not any(word in diagnostic.message for word in ("NoneType", "<class", "object at", "Traceback"))


if __name__ == "__main__":
    for one in CASES:
        (one / "expected.txt").write_text(diagnostics(one))
