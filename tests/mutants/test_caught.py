"""Every deliberately broken policy changes something, and is caught."""

from __future__ import annotations

import functools

import pytest

from policy_service.language.load import load, load_policy
from policy_service.language.policy import Policy
from tests.mutants.broken import EXTENDED, SHIPPED, Broken, applied, extended, shipped
from tests.mutants.caught import PAGE, by_proof, by_tests, caught_by, row

BASES = {"shipped": shipped, "extended": extended}
ALL = [("shipped", one) for one in SHIPPED] + [("extended", one) for one in EXTENDED]


@functools.cache
def before(base: str) -> Policy:
    """The policy without a slip."""
    return load_policy(BASES[base]())


@pytest.mark.parametrize("base", sorted(BASES))
def test_nothing_is_wrong_before(base: str) -> None:
    """No diagnostic, no failing case, nothing refuted."""
    files = BASES[base]()
    assert load(files).diagnostics == ()
    assert (by_tests(files, before(base)), by_proof(files, before(base))) == ("", "")


def test_there_are_many_and_each_has_its_name() -> None:
    """Of every kind that authors make."""
    assert len({one.what for _, one in ALL}) == len(ALL) > 100


@pytest.mark.parametrize(("base", "broken"), [pytest.param(base, one, id=one.what) for base, one in ALL])
def test_what_is_broken_is_caught(base: str, broken: Broken) -> None:
    """It changes the policy, and something finds fault: the files are refused or the suite fails, where it can be."""
    files = applied(broken, BASES[base]())
    loaded = load(files)
    assert loaded.policy is None or loaded.policy.digest != before(base).digest
    found = caught_by(files, before(base))
    assert {"check", "test"} & set(found) or ("of this service" in broken.what and "diff" in found)
    assert row(broken, found) in PAGE.read_text(encoding="utf-8").splitlines()
