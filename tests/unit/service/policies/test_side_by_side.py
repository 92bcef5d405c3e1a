"""Work that is spread over processes comes to what it comes to in one."""

from __future__ import annotations

import os
from functools import partial

import pytest

from bench.policy_check import policy_files
from policy_service.language.load import load
from policy_service.language.memory import Memory
from policy_service.service.policies.side_by_side import MOST, WORTH, side_by_side

NAMES = [f"name-{number}" for number in range(9)]
LARGE = dict.fromkeys(NAMES, WORTH)


@pytest.mark.parametrize("processors", [1, 2, 3, 64])
def test_equal_to_one_by_one(processors: int) -> None:
    """Whatever the number of processors; results are in the order of the names."""
    done = side_by_side(lambda name: name.upper(), NAMES, sizes=LARGE, processors=processors)
    assert done == [name.upper() for name in NAMES]


@pytest.mark.parametrize(("sizes", "processes"), [(LARGE, MOST), (dict.fromkeys(NAMES, 10), 1), ({}, 1)])
def test_small_work_is_not_spread(sizes: dict[str, int], processes: int) -> None:
    """Each process does a share."""
    done = side_by_side(lambda _: os.getpid(), NAMES, sizes=sizes, processors=64)
    assert len(set(done)) == processes
    assert os.getpid() in done


def test_nothing_to_do_is_nothing_done() -> None:
    assert side_by_side(str.upper, [], sizes={}) == []


def test_what_a_fork_fails_at_is_done_here() -> None:
    """Killed, or an exception that only happens there."""
    here = os.getpid()

    def work(name: str) -> str:
        if os.getpid() != here:
            os._exit(9) if name == "name-1" else 1 // 0
        return name.upper()

    assert side_by_side(work, NAMES, sizes=LARGE, processors=4) == [name.upper() for name in NAMES]


def spread_load(files: dict[str, str], memory: Memory) -> object:
    sizes = dict.fromkeys(files, WORTH)
    return load(files, memory, partial(side_by_side, sizes=sizes, processors=3))


def test_a_policy_that_is_read_side_by_side_is_the_same() -> None:
    """Warnings among them; and again with one file edited, by what is remembered."""
    files = policy_files(60)
    files["resources/type-0.yaml"] += '  - {name: doubtful, effect: allow, when: "resource.attr.env == \\"x\\""}\n'
    memory = Memory()
    assert spread_load(files, memory) == load(files)
    assert load(files).diagnostics != ()
    files["resources/type-1.yaml"] = files["resources/type-1.yaml"].replace("frozen", "thawed")
    assert spread_load(files, memory) == load(files)


def test_mistakes_are_told_in_the_same_words() -> None:
    """Of many: after so many suggestions there is no more."""
    files = policy_files(200)
    for name in list(files):
        if name.startswith("resources/"):
            files[name] = files[name].replace("scopes: [type", "scopes: [typo").replace("effect:", "efect:")
    expected = load(files)
    assert sum("did you mean" in one.message for one in expected.diagnostics) == 50
    assert spread_load(files, Memory()) == expected
