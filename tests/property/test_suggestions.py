"""Theorems about suggested tests: each closes what it claims, and what no test is said to close no request reaches."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from policy_service.analysis.coverage import Watch, cover
from policy_service.analysis.gaps import Closing, gaps
from policy_service.analysis.new_tests import Bench
from policy_service.analysis.solving import Budget
from policy_service.analysis.suggest import suggest
from policy_service.engine.link import compile_policy
from policy_service.language.load import load_policy
from policy_service.language.suite.additions import with_entries
from policy_service.language.suite.load import load_suite, surroundings
from tests.property.strategies import Case, cases
from tests.worlds import snapshot_of

SETTINGS = settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
FILE = "tests/gaps.yaml"


@SETTINGS
@given(cases(max_requests=8))
def test_every_gap_is_closed_or_cannot_be_closed(case: Case) -> None:
    """Random policies without a test, and random facts and requests that try what is called impossible."""
    files = case.world.files()
    policy = load_policy(files)
    program = compile_policy(policy)
    missing = gaps(cover((), program))
    bench = Bench(program, FILE, surroundings(files, FILE, policy), (), missing)
    found = suggest(policy, missing, bench, Budget(30))
    assert [why for _, why in found.undecided if "please report" in why] == []
    told = [gap for test in found.tests for gap in test.closes]
    told += [gap for gap, _ in (*found.impossible, *found.undecided)]
    assert sorted(map(repr, told)) == sorted(map(repr, missing))
    if found.tests:
        text = with_entries(files, FILE, [test.text for test in found.tests], policy)
        assert text is not None
        suite = load_suite({**files, FILE: text}, policy)
        for test, loaded in zip(found.tests, suite.tests, strict=True):
            closing = Closing(cover([loaded], program))
            assert [(gap.title, test.text) for gap in test.closes if not closing.closes(gap)] == []
    watch, world = Watch(policy), snapshot_of(program, case.world.facts)
    for request, now in case.asked:
        watch.take(request, world, now)
    closing = Closing(watch.coverage)
    assert [(gap.title, why) for gap, why in found.impossible if closing.closes(gap)] == []
