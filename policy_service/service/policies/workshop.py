"""Programs made beside the serving: another process checks, writes and compiles; this one takes them in, in slices.

Checking and compiling 10,000 rules takes seconds in which a thread would hold the interpreter for tens of milliseconds
at a time, and every decision would wait. Source: docs/decisions/0014-policies-are-made-beside-the-serving.md.
"""

from __future__ import annotations

import gc
import json
import logging
import marshal
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Final

from policy_service.engine.link import Linking, compile_policy
from policy_service.engine.program import Program
from policy_service.language.load import load_policy
from policy_service.model.errors import PolicyErrors, StoreError
from policy_service.service.policies.shelf import Shelf, name_of
from policy_service.service.policies.workshop_messages import (
    CompiledPart,
    Done,
    Frames,
    Gone,
    Mistakes,
    Outline,
    Pipe,
    PolicyInSlices,
    Rules,
    joined,
    opened,
    yielding,
)

FAILED: Final = "policy_maker_failed"
SMALL: Final = 16 * 1024
"""Rule files of so many characters together are made here: that takes less time than a process needs to start."""
PATIENCE_S: Final = 300.0
ATTEMPTS: Final = 2
"""The first process may have been about to end for want of work."""

_CHILD: Final = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {module} import main; main()"
_LOG: Final = logging.getLogger(__name__)


def child_command() -> list[str]:
    """This interpreter on the same modules, and nothing of the user's own: no site of his, no start-up file."""
    code = _CHILD.format(module="policy_service.service.policies.policy_maker")
    options = ["-I", *(["-B"] if sys.dont_write_bytecode else [])]
    return [sys.executable, *options, "-c", code, json.dumps([os.path.abspath(path) for path in sys.path])]


class Workshop:
    """A PolicyMaker that has another process do the work. Thread-safe: one job at a time.

    Where that process dies, is silent or talks nonsense, there is no program and a StoreError says so: what decides
    goes on deciding.

    INVARIANT: a program made here equals one made in this process (test_workshop: equal to what is made here).

    Args:
        small: rule files of no more characters are made in this process.
        command: starts the process.
        shelf: of one worker among several: what another has had made is taken from there.
    """

    def __init__(
        self,
        *,
        small: int = SMALL,
        command: Sequence[str] | None = None,
        patience_s: float = PATIENCE_S,
        shelf: Shelf | None = None,
    ) -> None:
        self._shelf = shelf
        self._small = small
        self._command = command
        self._patience_s = patience_s
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe: Pipe | None = None
        self._is_answered = True

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with self._turn:
            self._end()

    def make(self, files: Mapping[str, str]) -> Program:
        """The program of rule files.

        Raises:
            PolicyErrors: the files have mistakes; all of them.
            StoreError: `policy_maker_failed`.
        """
        if sum(map(len, files.values())) <= self._small:
            return compile_policy(load_policy(files))
        with self._turn:
            if self._shelf is None:
                return self._tried(files, [])
            return self._shared(files, self._shelf)

    def _shared(self, files: Mapping[str, str], shelf: Shelf) -> Program:
        """Made by the first worker that asks; linked from the same parts by the others."""
        name = name_of(files)
        made = shelf.get(name)
        if made is None:
            with shelf.turn(self._patience_s):
                made = shelf.get(name)
                if made is None:
                    frames: list[bytes] = []
                    program = self._tried(files, frames)
                    shelf.put(name, joined(frames))
                    return program
        try:
            return _linked(Frames(made).frame)
        except Gone as error:
            _LOG.warning("a policy that another worker had made cannot be used, and is made here: %s", error)
            return self._tried(files, [])

    def _tried(self, files: Mapping[str, str], frames: list[bytes]) -> Program:
        """Args: `frames` receives all that the process said."""
        for attempt in range(1, ATTEMPTS + 1):
            frames.clear()
            try:
                return self._made(files, frames)
            except Gone as error:
                _LOG.warning("the process that makes programs failed at attempt %d: %s", attempt, error)
                self._end()
            except BaseException:
                # An answer that was read by half would stand before the next one.
                if not self._is_answered:
                    self._end()
                raise
        raise StoreError(
            FAILED, "the policy could not be made ready: the process that does it failed; see the log, and try again"
        )

    def _made(self, files: Mapping[str, str], frames: list[bytes]) -> Program:
        pipe = self._pipe or self._start()

        def frame() -> bytes:
            came = pipe.frame()
            if self._shelf is not None:
                frames.append(came)
            return came

        self._is_answered = False
        pipe.send(dict(files))
        try:
            program = _linked(frame)
        except PolicyErrors:
            self._is_answered = True
            raise
        self._is_answered = True
        return program

    def _start(self) -> Pipe:
        try:
            child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                self._command or child_command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # Nothing of the service's own: it may hold passwords.
                env={name: os.environ[name] for name in ("LD_LIBRARY_PATH", "LANG") if name in os.environ},
                cwd="/",
                process_group=0,  # Ctrl-C is the server's to hear: it ends this one
                bufsize=0,
            )
        except OSError as error:
            raise Gone(f"it cannot be started: {error.strerror}") from None
        assert child.stdin is not None
        assert child.stdout is not None
        self._child = child
        self._pipe = Pipe(child.stdout.fileno(), child.stdin.fileno(), patience_s=self._patience_s)
        return self._pipe

    def _end(self) -> None:
        child, self._child, self._pipe = self._child, None, None
        if child is None:
            return
        child.kill()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                stream.close()
        child.wait()


def _linked(frame: Callable[[], bytes | memoryview]) -> Program:
    """The program that an answer brings. Raises Gone; PolicyErrors where it brings mistakes."""
    first = opened(frame())
    if isinstance(first, Mistakes):
        raise PolicyErrors(first.diagnostics)
    if not isinstance(first, Outline):
        raise Gone("it talks nonsense")
    with _unseen_by_the_collector():
        return _received(first, frame)


def _received(outline: Outline, frame: Callable[[], bytes | memoryview]) -> Program:
    """The program that follows an outline, linked slice by slice."""
    policy, linking, rest = PolicyInSlices(outline), Linking(outline.policy.digest), yielding()
    try:
        while True:
            message = opened(frame())
            if isinstance(message, Rules):
                policy.add(message)
            elif isinstance(message, CompiledPart):
                linking.add(message.part, marshal.loads(message.code))  # noqa: S302 - of a process of ours, as said there
            else:
                return _finished(message, policy, linking)
            rest()
    except Gone:
        linking.abandon()
        raise
    except Exception as error:
        linking.abandon()
        raise Gone(f"it talks nonsense: {type(error).__name__}: {error}") from error


def _finished(message: object, policy: PolicyInSlices, linking: Linking) -> Program:
    """Only what is whole, and of one digest."""
    whole = policy.whole()
    told = Done(whole.digest, linking.count, policy.rules())
    if message != told:
        raise Gone(f"its answer is not whole: {told} came, and {message} was told")
    program = linking.finished(whole)
    # What the collector does not see it cannot free: the functions of a program and the names they see are a cycle.
    weakref.finalize(program, linking.namespace.clear)
    return program


@contextmanager
def _unseen_by_the_collector() -> Iterator[None]:
    """What is made within is never looked at by the garbage collector: of 10,000 rules a look takes 20 ms and more."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
