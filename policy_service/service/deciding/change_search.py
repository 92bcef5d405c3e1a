"""What would turn a denial into an allow, looked for beside the thread that decides, one request at a time."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from policy_service.analysis.judged import Interpreter, Judge, LinkedJudge
from policy_service.analysis.situation import Situation
from policy_service.analysis.why_not import Flip, Search, why_not
from policy_service.engine.program import Program
from policy_service.language.policy import Policy

MAX_TRIED: Final = 100
"""Decisions for each of the three who can change something."""
MAX_SECONDS: Final = 0.5
"""For one request, from when it is its turn."""
MAX_WAITING: Final = 8


class ChangeSearch:
    """Looks for changes in a thread. It gets facts and a linked policy, which never change, and no snapshot.

    One at a time: threads share the interpreter with those who decide, so more would only slow all down.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def changes(self, situation: Situation, program: Program) -> list[Flip] | None:
        """The smallest changes that were found in time; None where too many others wait already."""
        if self._waiting >= MAX_WAITING:
            return None
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(_search, situation, program)
        finally:
            self._waiting -= 1


def _search(situation: Situation, program: Program) -> list[Flip]:
    ends = time.monotonic() + MAX_SECONDS

    def judge(policy: Policy) -> Judge:
        # Linking an edited policy of 10,000 rules would take seconds, and hold everybody up.
        return LinkedJudge(program) if policy is program.policy else Interpreter(policy)

    return why_not(situation, program.policy, Search(judge, MAX_TRIED, lambda: time.monotonic() > ends))
