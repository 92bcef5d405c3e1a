"""The thread beside the writing: it hashes what was written, has it on the disk, signs, and sends the checkpoint away.

Whoever decides never waits for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from policy_service.ledger.hashing import ShardTree
from policy_service.ledger.layout import Segment
from policy_service.ledger.merkle import Tree
from policy_service.ledger.shard import ShardWriter
from policy_service.ledger.trouble import trouble
from policy_service.model.errors import PolicyServiceError, StoreError
from policy_service.service.recording.checkpoint_health import FAILED, CheckpointHealth
from policy_service.service.recording.checkpoint_sinks import CheckpointSink
from policy_service.service.recording.checkpoints import Notary
from policy_service.service.recording.keeping import Keeping

STOP_S: Final = 60.0
"""How long the end of a round is waited for: a sink's seconds, or the sealing of one segment."""
REST_S: Final = 0.001
"""Between two slices of hashing, 0.1 ms each: so it takes a tenth of the processor at most from those who decide.

Without it the p99 at half of the peak rate was 60 ms in place of 3 (`python -m bench.ledger_latency`)."""
TIDY_S: Final = 3600.0
"""Pause between two looks at old segments; a new one is looked after at once."""

_LOG: Final = logging.getLogger(__name__)


class Checkpointer:
    """Signs a checkpoint at an interval where there is something new, at the end of each segment, and of the shard.

    INVARIANT: a segment is on the disk before its checkpoint is signed
    (test_what_the_disk_does_not_keep_is_not_signed).

    Args:
        woken: set by the writer when a segment is full.
        sink: where checkpoints go; None: they stay here.
        elapsed: seconds, for the look at old segments.
    """

    def __init__(
        self,
        writer: ShardWriter,
        notary: Notary,
        keeping: Keeping,
        health: CheckpointHealth,
        *,
        woken: threading.Event,
        sink: CheckpointSink | None,
        interval_s: float,
        elapsed: Callable[[], float],
    ) -> None:
        self._writer = writer
        self._notary = notary
        self._keeping = keeping
        self._health = health
        self._woken = woken
        self._sink = sink
        self._interval_s = interval_s
        self._elapsed = elapsed
        self._stopping = threading.Event()
        self._hashed = ShardTree(writer.folder, writer.shard, lambda: self._stopping.wait(REST_S))
        self._undelivered: str | None = None
        self._tidied: tuple[Segment, float] | None = None
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)

    def start(self) -> None:
        """Sign a first checkpoint, of no records: it names the shard. All else happens beside the writing."""
        self._try_to_sign()
        self._woken.set()
        self._thread.start()

    def round(self) -> None:
        """Whatever is due. Nothing that happens in it is raised: it is told, and tried again in the next."""
        self._try_to_sign()
        self._deliver()
        with self._telling(self._health.unkept):
            self._tidy()

    def finish(self) -> Tree:
        """End the thread and sign the last checkpoint of the shard, of which nothing is written any more.

        Returns:
            the tree over all of its records.

        Raises:
            StoreError: it cannot be signed, or the thread does not end: the shard is to be left as after a crash.
        """
        self._stopping.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_S)
        if self._thread.is_alive():
            raise StoreError(FAILED, "the last checkpoint still waits for a disk or a sink; the next start signs it")
        try:
            self._catch_up()
            self._sign(self._hashed.segment)
        except OSError as error:
            raise trouble(error) from error
        self._deliver()
        return self._hashed.tree

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.wait(self._interval_s)
            self._woken.clear()
            if not self._stopping.is_set():
                self.round()

    def _try_to_sign(self) -> None:
        with self._telling(self._health.failed):
            self._sign_news()
            self._health.sound()

    def _sign_news(self) -> None:
        self._catch_up()
        if self._notary.has_news(self._hashed.tree.size):
            self._sign()

    def _catch_up(self) -> None:
        """Have all that is written now on the disk and hashed; segments that ended are signed."""
        position = self._writer.position
        self._writer.sync()
        while self._hashed.segment.number < position.number:
            self._hashed.take()
            self._sign(self._hashed.segment)
            self._hashed.next_segment()
        self._hashed.take(position.size)

    def _sign(self, ends: Segment | None = None) -> None:
        self._undelivered = self._notary.sign(self._hashed.tree, ends).note
        self._health.signed()

    def _deliver(self) -> None:
        """Send the latest checkpoint away, if it is not. Older ones that could not leave are part of what it says."""
        if self._sink is None or self._undelivered is None:
            return
        with self._telling(self._health.undelivered):
            self._sink.deliver(self._undelivered)
            self._undelivered = None
            self._health.delivered()

    def _tidy(self) -> None:
        now, live = self._elapsed(), self._hashed.segment
        if self._tidied is None or self._tidied[0] != live or now - self._tidied[1] >= TIDY_S:
            self._keeping.tidy(live, self._stopping.is_set)
            self._tidied = live, now

    @contextmanager
    def _telling(self, tell: Callable[[PolicyServiceError], None]) -> Iterator[None]:
        """Tell what goes wrong within, and go on."""
        try:
            yield
        except PolicyServiceError as error:
            tell(error)
        except OSError as error:
            tell(trouble(error))
        except Exception:
            _LOG.exception("the checkpointer failed in a way that nobody foresaw")
            tell(StoreError(FAILED, "a bug; the log above has the details"))
