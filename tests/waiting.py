"""Waiting for what is to happen, with a bound that no machine meets by being slow: only what never comes fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE_S = 60.0
"""Far more than any wait takes: a machine that runs tests may do much else. How long things take is for `bench`."""


def until(condition: Callable[[], T], what: str = "it never came") -> T:
    """What the condition says, once it says something."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found
