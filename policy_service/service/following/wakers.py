"""What wakes a follower when somebody has committed a change, beside its own looks at the store.

A waker saves time and is never relied on: it may be silent for a while, and it may wake for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from policy_service.service.following.crew import Bell


class Waker(Protocol):
    """Runs beside the follower, on its event loop."""

    @property
    def is_listening(self) -> bool:
        """Whether commits are heard of just now; else the store must be looked at more often."""
        ...

    async def run(self, wake: Callable[[], None]) -> None:
        """Call `wake` soon after each commit of others, until cancelled. What goes wrong is logged and tried again."""
        ...


class BellWaker:
    """Wakes when another worker of this machine says that it has committed something: well within a millisecond."""

    is_listening = True
    """A pipe does not break. What other processes commit is the store's waker's to hear."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell

    async def run(self, wake: Callable[[], None]) -> None:
        """As a Waker does."""

        def heard() -> None:
            self._bell.silence()
            wake()

        loop = asyncio.get_running_loop()
        loop.add_reader(self._bell.heard_at, heard)
        try:
            await loop.create_future()
        finally:
            loop.remove_reader(self._bell.heard_at)
