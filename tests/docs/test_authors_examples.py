"""What the authors' guide shows is what works."""

from __future__ import annotations

import re
from pathlib import Path

from policy_service.analysis.run_suite import run_suite
from policy_service.language.load import load_policy
from policy_service.language.suite.load import load_suite
from tests.unit.language.folders import shipped
from tests.worlds import program_of

GUIDE = Path(__file__).parents[2] / "docs/authors.md"


def test_the_example_of_a_test_file_holds_for_the_shipped_policies() -> None:
    """As it stands there."""
    [example] = [block for block in re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL) if "tests:" in block]
    files = {file: text for file, text in shipped().items() if not file.startswith("tests/")}
    suite = load_suite({"tests/example.yaml": example}, load_policy(files))
    assert suite.diagnostics == ()
    results = list(run_suite(suite.tests, program_of(files)))
    assert [len(result.results) for result in results] == [6]
    assert all(result.is_good for result in results)
