"""The codes of diagnostics are an interface: all of them stand in docs/diagnostics.md."""

from __future__ import annotations

import ast
import re

from tests.unit.language.folders import GOLDEN, GOLDEN_SUITES, ROOT

CODE = re.compile(r"[a-z]+(?:-[a-z]+)+")


def codes_in_source() -> set[str]:
    """Every string of the language layer that has the form of a code."""
    found = set()
    for path in (ROOT / "policy_service" / "language").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                found.add(node.value)
    return found


def codes_in_page() -> set[str]:
    """Every code in the first column of a table."""
    page = (ROOT / "docs" / "diagnostics.md").read_text()
    rows = re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)
    return {code for row in rows for code in re.findall(r"`([^`]+)`", row)}


def test_every_code_is_documented_and_every_documented_code_exists() -> None:
    """Neither list can grow without the other."""
    assert codes_in_source() == codes_in_page()


def test_every_code_of_the_files_is_shown_by_a_golden_case() -> None:
    """Each is given by a real file, but for the bounds, which have tests of their own."""
    cases = [case for golden in (GOLDEN, GOLDEN_SUITES) for case in golden.iterdir() if case.is_dir()]
    text = "\n".join((case / "expected.txt").read_text() for case in cases)
    shown = set(re.findall(r"\[([a-z-]+)\]$", text, re.MULTILINE))
    bounds = {"too-large", "too-many", "yaml-too-large", "yaml-too-deep", "unusual-layout"}
    assert {code for code in codes_in_source() - bounds if not code.startswith("cel-")} - shown == set()
