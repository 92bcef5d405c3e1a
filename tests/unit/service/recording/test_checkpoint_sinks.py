"""Where checkpoints go: a file, a program, a server; and what is told when they do not get there."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from policy_service.model.errors import StoreError, UsageError
from policy_service.service.recording.checkpoint_sinks import (
    CheckpointSink,
    CommandSink,
    FileSink,
    HttpSink,
    checkpoint_sink,
)

NOTE = "log/shard\n1\nroot\n\n— log signature\n"


def refusal(sink: CheckpointSink) -> str:
    with pytest.raises(StoreError) as caught:
        sink.deliver(NOTE)
    assert caught.value.code == "checkpoint_undelivered"
    assert "POLICY_SERVICE_CHECKPOINT_SINK" in caught.value.message
    return caught.value.message


class Collector(BaseHTTPRequestHandler):
    """Takes notes; `status` is what it answers, `got` what it was sent."""

    status = 204
    got: list[tuple[str, str | None, str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.got.append((self.path, self.headers["content-type"], body))
        self.send_response(self.status)
        self.send_header("location", "/elsewhere")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing."""


@pytest.fixture
def collector() -> Iterator[tuple[str, type[Collector]]]:
    handler = type("Handler", (Collector,), {"got": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()


def test_a_file_grows_by_each_note(tmp_path: Path) -> None:
    sink = checkpoint_sink(f"file:{tmp_path / 'kept'}")
    sink.deliver(NOTE)
    sink.deliver(NOTE)
    assert (tmp_path / "kept").read_text() == f"{NOTE}\n{NOTE}\n"
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    message = refusal(FileSink(tmp_path / "missing" / "kept"))
    assert "no such file" in message
    assert str(tmp_path) not in message


def test_a_command_gets_the_note_on_its_standard_input(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())")
    sink = checkpoint_sink(f"command:{sys.executable} {program} '{tmp_path}/its note'")
    sink.deliver(NOTE)
    assert (tmp_path / "its note").read_text() == NOTE


def test_a_command_that_fails_is_told_without_its_arguments() -> None:
    assert "ended with 3" in refusal(CommandSink(["sh", "-c", "exit 3"]))
    assert "cannot be run" in refusal(CommandSink(["/nowhere/secret-program"]))
    assert "secret" not in refusal(CommandSink(["/nowhere/secret-program"]))


def test_a_command_that_reads_nothing_is_no_trouble() -> None:
    CommandSink(["true"]).deliver(NOTE * 50_000)


def test_a_command_that_does_not_end_is_ended_with_all_it_started() -> None:
    began = time.monotonic()
    message = refusal(CommandSink(["sh", "-c", "sleep 60 & sleep 60"], timeout_s=0.3))
    assert "did not end within 0.3 seconds" in message
    assert time.monotonic() - began < 10


def test_a_server_gets_the_note_as_a_post(collector: tuple[str, type[Collector]]) -> None:
    url, handler = collector
    checkpoint_sink(f"{url}/notes").deliver(NOTE)
    assert handler.got == [("/notes", "text/plain; charset=utf-8", NOTE)]


@pytest.mark.parametrize("status", [302, 401, 500])
def test_a_server_that_does_not_take_it_is_told(collector: tuple[str, type[Collector]], status: int) -> None:
    url, handler = collector
    handler.status = status
    message = refusal(HttpSink(url))
    assert f"answered {status}" in message
    assert "127.0.0.1" not in message
    assert len(handler.got) == 1


def test_a_server_that_is_not_there_is_told_without_its_password() -> None:
    message = refusal(HttpSink("http://user:hunter2@127.0.0.1:1/notes"))
    assert "cannot be reached" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "text", ["", "file:", "command:", "command:'", "http:", "http://", "http://[", "ftp://host/x", "/var/notes"]
)
def test_what_is_no_sink_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        checkpoint_sink(text)
    assert refused.value.code == "invalid_checkpoint_sink"
