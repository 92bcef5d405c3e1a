"""Requests that come in one turn of the event loop are answered together: decided in rows, recorded in one write.

A connection that read a request waits here until the loop has read those of the other connections too, which takes no
longer than reading them: their records would have waited for one write anyway. Under load it saves half of the time
of an answer, since each step's code and tables stay in the processor's caches for all of them
(`python -m bench.lane`: one a turn, and 32).

Several requests of one connection are answered in rounds: the first of every connection, then the second, ...: from
the first on that must wait, the documented route answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from policy_service.api.lane_answers import Asked, LaneAnswer, LaneAnswers

_LOG: Final = logging.getLogger(__name__)

MOST_BYTES: Final = 64 * 1024
"""Of requests that are answered together; what comes on top of it is answered in rows of its own."""


class Line(Protocol):
    """A connection whose requests wait to be answered."""

    asked: Sequence[Asked]

    def take(self, answer: LaneAnswer | None) -> bool:
        """Take the answer to the next request; None where the route must give it. Whether another one is asked."""
        ...

    def release(self) -> None:
        """Send what is under way, where all of it may leave. Raises nothing."""
        ...

    def give_up(self) -> None:
        """End without an answer. Raises nothing."""
        ...


class LaneTurns:
    """What all connections of an application share: the requests of this turn."""

    def __init__(self, answers: LaneAnswers) -> None:
        self._answers = answers
        self._lines: list[Line] = []
        self._bytes = 0

    def join(self, line: Line, size: int, loop: asyncio.AbstractEventLoop) -> None:
        """Have a connection's requests, of so many bytes, answered at the end of this turn, or before."""
        self._lines.append(line)
        self._bytes += size
        if self._bytes >= MOST_BYTES:
            self._answer()
        elif len(self._lines) == 1:
            loop.call_soon(self._answer)

    def _answer(self) -> None:
        """Decide, record, send."""
        lines, self._lines, self._bytes = self._lines, [], 0
        try:
            self._decide(lines)
        except Exception:
            _LOG.exception("requests could not be answered")
            for line in lines:
                line.give_up()
            return
        for line in lines:
            line.release()

    def _decide(self, lines: Sequence[Line]) -> None:
        number, asking = 0, lines
        while asking:
            answers = self._answers.answer_row([line.asked[number] for line in asking])
            asking = [line for line, answer in zip(asking, answers, strict=True) if line.take(answer)]
            number += 1
        self._answers.flush()
