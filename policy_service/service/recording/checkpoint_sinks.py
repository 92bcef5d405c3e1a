"""Where signed checkpoints go beside the ledger's own folder: off this machine, or nothing is proven by them.

| setting | what happens to each checkpoint |
|---|---|
| `file:PATH` | appended to the file, followed by an empty line |
| `command:PROGRAM ARGUMENTS` | given to the program on its standard input; no shell reads the line |
| `http://…`, `https://…` | sent as the body of a `POST`; 2xx is success |

Each is given seconds, not minutes. Errors never tell a URL's path or password, or a command's arguments.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from policy_service.model.errors import StoreError, UsageError

TIMEOUT_S: Final = 10.0
UNDELIVERED: Final = "checkpoint_undelivered"


class CheckpointSink(Protocol):
    """Takes signed checkpoints away."""

    def deliver(self, note: str) -> None:
        """Return when it is out of this process's hands.

        Raises:
            StoreError: `checkpoint_undelivered`.
        """
        ...


class FileSink:
    """Appends to a file, such as one on another machine's file system."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def deliver(self, note: str) -> None:
        """As CheckpointSink says."""
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(f"{note}\n".encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _undelivered(f"the file cannot be written: {(error.strerror or 'output failed').lower()}") from error


class CommandSink:
    """Runs a program for each checkpoint; exit code 0 is success."""

    def __init__(self, arguments: list[str], *, timeout_s: float = TIMEOUT_S) -> None:
        self._arguments = arguments
        self._timeout_s = timeout_s

    def deliver(self, note: str) -> None:
        """As CheckpointSink says."""
        try:
            # The operator chose the program, in this process's own environment.
            process = subprocess.Popen(  # noqa: S603 - as said
                self._arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise _undelivered(f"the command cannot be run: {(error.strerror or 'not possible').lower()}") from error
        with process:
            self._feed(process, note)
        if process.returncode:
            raise _undelivered(f"the command ended with {process.returncode}")

    def _feed(self, process: subprocess.Popen[bytes], note: str) -> None:
        try:
            process.communicate(note.encode(), timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                # What it has started goes with it.
                os.killpg(process.pid, signal.SIGKILL)
            raise _undelivered(f"the command did not end within {self._timeout_s:g} seconds") from None


class HttpSink:
    """Posts to a URL."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._timeout_s = timeout_s

    def deliver(self, note: str) -> None:
        """As CheckpointSink says. What is answered is not read: only its status counts."""
        # Imported here: it takes 50 ms, and most ledgers have no such sink.
        import httpx  # noqa: PLC0415 - as said

        headers = {"content-type": "text/plain; charset=utf-8"}
        try:
            with httpx.stream(
                "POST", self._url, content=note.encode(), headers=headers, timeout=self._timeout_s
            ) as got:
                status = got.status_code
        except httpx.HTTPError as error:
            raise _undelivered(f"the server cannot be reached ({type(error).__name__})") from None
        if not 200 <= status < 300:
            raise _undelivered(f"the server answered {status}")


def checkpoint_sink(text: str) -> CheckpointSink:
    """The sink that a setting describes.

    Raises:
        UsageError: `invalid_checkpoint_sink`.
    """
    kind, _, rest = text.partition(":")
    if kind == "file" and rest:
        return FileSink(Path(rest))
    if kind == "command" and (arguments := _arguments(rest)):
        return CommandSink(arguments)
    if kind in ("http", "https") and _host(text):
        return HttpSink(text)
    raise UsageError(
        "invalid_checkpoint_sink",
        "`POLICY_SERVICE_CHECKPOINT_SINK` must be `file:PATH`, `command:PROGRAM ARGUMENTS` or a URL of http or https",
    )


def _arguments(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return []


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _undelivered(why: str) -> StoreError:
    return StoreError(
        UNDELIVERED, f"a checkpoint did not leave this machine: {why}; see `POLICY_SERVICE_CHECKPOINT_SINK`"
    )
