"""The command, and the server as a real process, with nothing of the tester's own environment in them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

import httpx
import pytest

from policy_service.bootstrap import main

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-W", "error", "-m", "policy_service")
START_S = 120
STOP_S = 90
LISTENING = re.compile(r"listening on (http://\S+) ")


def environment(**more: str) -> dict[str, str]:
    """Only what a process needs, and what a test asks for."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


class Done(NamedTuple):
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


def command(*arguments: str | Path, stdin: str = "", **more: str) -> Done:
    """Run one command to its end, in this process: what it prints and returns is what a process would.

    Args:
        more: environment variables; no setting of the tester's own is there beside them.
    """
    given = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("POLICY_SERVICE_")]:
            patch.delenv(name)
        for name, value in more.items():
            patch.setenv(name, value)
        patch.setattr("sys.stdin", given)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
    return Done(code, out.getvalue(), err.getvalue())


def process(*arguments: str | Path, **more: str) -> Done:
    """Run one command to its end, as a process."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(**more),
        cwd=ROOT,
        timeout=START_S,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def answer(*arguments: str | Path, stdin: str = "", expect: int = 0, **more: str) -> Any:
    """The JSON that a command prints."""
    done = command(*arguments, "--json", stdin=stdin, **more)
    assert done.returncode == expect, done.stderr
    return json.loads(done.stdout)


def one_line(done: Done) -> str:
    """The single line on standard error of a command that failed."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


class Server:
    """A running server on a free port. Leaving the block ends it and checks that it ended well."""

    def __init__(self, data_dir: Path, *arguments: str | Path, **more: str) -> None:
        self._process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", "--data-dir", str(data_dir), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(**more),
            cwd=ROOT,
        )
        self.output: list[str] = []
        self._lines: queue.Queue[str] = queue.Queue()
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        self.url = self._wait_until_it_listens()
        self._client = httpx.Client(base_url=self.url, timeout=60, trust_env=False)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        code = self.stop()
        if kind is None:
            assert code == 0, self.text()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self.output.append(line)
            self._lines.put(line)
        stream.close()

    def _wait_until_it_listens(self) -> str:
        while True:
            try:
                line = self._lines.get(timeout=START_S)
            except queue.Empty:
                self._process.kill()
                raise AssertionError(f"the server does not listen: {self.text()}") from None
            found = LISTENING.search(line)
            if found:
                return found.group(1)

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit code."""
        self._client.close()
        if self._process.poll() is None:
            self._process.send_signal(with_signal)
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError(f"the server does not end: {self.text()}") from None
        self._reader.join(STOP_S)
        return code

    @property
    def pid(self) -> int:
        """Its process; with several workers the supervisor's."""
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit code, if it has ended by itself."""
        return self._process.poll()

    def text(self) -> str:
        """All it printed."""
        return "".join(self.output)

    def call(self, method: str, path: str, key: str | None, body: Any = None, **params: Any) -> httpx.Response:
        """One request of /v1 or /decide."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return self._client.request(method, path, headers=headers, json=body, params=params)

    def change(self, method: str, path: str, key: str, body: Any = None) -> Any:
        """One change; its answer, which must be a success."""
        response = self.call(method, path, key, body)
        assert response.is_success, response.text
        return response.json()

    def decide(self, caller_key: str, **question: Any) -> Any:
        """One decision. A deny is a 200."""
        response = self.call("POST", "/decide", caller_key, question)
        assert response.status_code == 200, response.text
        return response.json()
