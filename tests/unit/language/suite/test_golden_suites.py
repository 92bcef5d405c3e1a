"""Broken test files and invariants beside the exact diagnostics they must give, judged by the shipped policies.

After a deliberate change of a message: `python -m tests.unit.language.suite.test_golden_suites` writes the files anew;
read the difference before committing it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_service.language.invariants import load_invariants
from policy_service.language.load import load_policy
from policy_service.language.suite.load import load_suite
from tests.unit.language.folders import GOLDEN_SUITES, read_folder, shipped

CASES = sorted(folder for folder in GOLDEN_SUITES.iterdir() if folder.is_dir())


def diagnostics(case: Path) -> str:
    """One line each, in reading order."""
    files, policy = read_folder(case), load_policy(shipped())
    found = (*load_invariants(files, policy).diagnostics, *load_suite(files, policy).diagnostics)
    return "".join(f"{diagnostic}\n" for diagnostic in found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_broken_test_files_give_exactly_the_expected_text(case: Path) -> None:
    """Every mistake of every file, in reading order, word for word."""
    assert diagnostics(case) == (case / "expected.txt").read_text()


if __name__ == "__main__":
    for one in CASES:
        (one / "expected.txt").write_text(diagnostics(one))
