"""Every case through oracle, compiled engine and HTTP alike. Nothing is skipped."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest

from policy_service.engine.decide import decide
from policy_service.engine.explain import explain
from policy_service.model.reasons import REASONS
from tests.conformance.over_http import house_of
from tests.conformance.reading import CASES, read_case
from tests.oracle import oracle
from tests.property.judging import verdict_of
from tests.worlds import program_of, snapshot_of


@pytest.mark.parametrize("name", CASES)
def test_the_oracle_decides_as_the_case_says(name: str) -> None:
    """The slow implementation."""
    case = read_case(name)
    for asked in case.asked:
        assert oracle.decide(case.files, case.facts, asked.request, asked.now) == asked.verdict, asked.name


@pytest.mark.parametrize("name", CASES)
def test_the_engine_decides_and_explains_as_the_case_says(name: str) -> None:
    """The compiled implementation, and the one that walks step by step."""
    case = read_case(name)
    snapshot = snapshot_of(program_of(case.files), case.facts)
    for asked in case.asked:
        decision = decide(asked.request, snapshot, asked.now)
        assert verdict_of(decision) == asked.verdict, asked.name
        assert explain(asked.request, snapshot, asked.now).decision == decision, asked.name


@pytest.mark.parametrize("name", CASES)
def test_the_service_answers_as_the_case_says(name: str, tmp_path: Path) -> None:
    """`POST /decide`, plain and explained, and `/decide/batch`, with real keys on a real store."""
    case = read_case(name)
    with house_of(case, tmp_path) as house:
        for asked in case.asked:
            assert house.decide(asked) == asked.verdict, asked.name
            verdict, checks = house.explain(asked)
            assert verdict == asked.verdict, asked.name
            assert [check["outcome"] in ("failed", "faulted") for check in checks].count(True) == (
                not asked.verdict.allowed
            ), asked.name
        for _, group in groupby(case.asked, key=lambda asked: asked.now):
            several = list(group)
            assert house.decide_batch(several) == [asked.verdict for asked in several]


def test_the_cases_cover_every_built_in_reason() -> None:
    """A reason without a case has no agreed meaning."""
    seen = Counter(asked.verdict.reason for name in CASES for asked in read_case(name).asked)
    assert set(REASONS) - set(seen) == set()
