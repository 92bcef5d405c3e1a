"""Helpers give what would come of the work without them, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from policy_service.ledger.helpers import Helpers, processors
from policy_service.model.errors import StoreError


def double(task: int, tell: Callable[[Any], object]) -> int:
    """The later a task, the sooner it is done; and some fail."""
    tell(task)
    if task == 13:
        raise StoreError("ledger_unreadable", "task 13 cannot be read")
    if task == 99:
        os.kill(os.getpid(), signal.SIGKILL)
    if task == 77:
        raise RuntimeError("a mistake of ours")
    time.sleep(0.001 * (10 - task % 10))
    return 2 * task


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_one_or_many_give_the_same_in_order(jobs: int) -> None:
    """And tell of the same."""
    told: list[int] = []
    with Helpers(jobs, double) as helpers:
        assert list(helpers.results(range(12), told.append)) == [2 * task for task in range(12)]
        assert list(helpers.results(range(3))) == [0, 2, 4]
    assert sorted(told) == list(range(12))


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_a_task_raises_is_raised_here(jobs: int) -> None:
    """With its code."""
    with Helpers(jobs, double) as helpers, pytest.raises(StoreError, match="task 13") as raised:
        list(helpers.results([1, 13, 2]))
    assert raised.value.code == "ledger_unreadable"


@pytest.mark.parametrize("task", [99, 77])
def test_a_helper_that_is_gone_is_told_of(task: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Killed from outside, or by a mistake of ours: no result is made up, and no traceback printed."""
    with Helpers(2, double) as helpers, pytest.raises(StoreError) as raised:
        list(helpers.results([1, task, 2, 3]))
    assert raised.value.code == "helper_lost"
    assert capfd.readouterr() == ("", "")


def test_no_more_is_done_than_can_wait() -> None:
    """Results nobody takes do not pile up."""
    told: list[int] = []
    with Helpers(2, double) as helpers:
        results = helpers.results(range(100), told.append)
        next(results)
        assert len(told) <= 5


def test_nothing_is_left_behind() -> None:
    """Whatever the helpers are doing."""
    with Helpers(2, lambda _task, _tell: time.sleep(60)) as helpers:
        processes = [helper.process for helper in helpers._helpers]
    assert len(processes) == 2
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_without_their_parent_helpers_end() -> None:
    """It may be killed where it can tell them nothing."""
    program = (
        "import os, signal\n"
        "from policy_service.ledger.helpers import Helpers\n"
        "helpers = Helpers(2, lambda task, tell: task)\n"
        "print(*[one.process for one in helpers._helpers], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # The pipe to here ends only when the last of them has let go of it.
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert len(done.stdout.split()) == 2


def test_an_interrupt_ends_all_of_them_in_silence() -> None:
    """A terminal sends it to the helpers too."""
    program = (
        "import time\n"
        "from policy_service.ledger.helpers import Helpers\n"
        "try:\n"
        "    with Helpers(2, lambda task, tell: time.sleep(60)) as helpers:\n"
        "        print('ready', flush=True)\n"
        "        list(helpers.results([1, 2, 3]))\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    command, pipe = [sys.executable, "-c", program], subprocess.PIPE
    with subprocess.Popen(command, start_new_session=True, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=30) == (b"interrupted\n", b"")


def test_there_are_processors() -> None:
    """At least this one."""
    assert processors() >= 1
