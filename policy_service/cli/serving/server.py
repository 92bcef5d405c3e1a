"""Runs an ASGI application on a socket until the process is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Final

import uvicorn

from policy_service.cli.serving.supervisor import Post
from policy_service.cli.shared.environment import AsgiApp
from policy_service.model.errors import StoreError, UsageError
from policy_service.settings import Settings

_BACKLOG: Final = 2048
_AT_ONCE: Final = 16
"""Connections opened in one turn of the event loop."""
_SWITCH_S: Final = 0.001
"""How long a thread that works may keep the others waiting: a fifth of Python's own. The event loop waits for threads
that read changes, and they for it; each such wait is in the time of a decision or of a revocation."""
_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_LOG: Final = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """Says when it listens: after the application's own start, not before."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


class _WorkerServer(_Server):
    """Listens to nothing: its connections are dealt to it by the supervisor, with whom it ends."""

    def __init__(self, config: uvicorn.Config, post: Post) -> None:
        super().__init__(config, post.report_ready)
        self._post = post
        self._opening: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._post.lifeline, self._orphaned)
            loop.add_reader(self._post.connections, self._take)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # What waits from here on is for this worker's successor.
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._post.connections)
        loop.remove_reader(self._post.lifeline)
        await super().shutdown(sockets)

    def _orphaned(self) -> None:
        # Nobody ever writes to it: that it can be read means that its other end is closed.
        asyncio.get_running_loop().remove_reader(self._post.lifeline)
        _LOG.error("the supervisor is gone; this worker ends")
        self.should_exit = True

    def _take(self) -> None:
        """Open the connections that were dealt, some in each turn of the loop."""
        for _ in range(_AT_ONCE):
            try:
                _, descriptors, _, _ = socket.recv_fds(self._post.connections, 1, 1)
            except OSError:
                return
            for descriptor in descriptors:
                task = asyncio.create_task(self._open(socket.socket(fileno=descriptor)))
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with contextlib.suppress(OSError):  # the client has gone
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        """As uvicorn makes them for its own listeners."""
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]  # a Protocol's own
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


def run_server(
    app: AsgiApp, settings: Settings, protocol: type[asyncio.Protocol], ready: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT; then finish what is under way, for at most the grace period.

    Args:
        protocol: speaks HTTP on each connection.
        ready: called with the URL once requests are answered.

    Raises:
        UsageError: `cannot_listen`.
        StoreError: `start_failed`; the log has the details.
    """
    listener = listen(settings)
    log_to_stderr(settings.log_level)
    take_all_files()
    with listener:
        address = url_of(listener)
        _run(_Server(_config(app, settings, protocol), lambda: ready(address)), [listener])


def run_worker(app: AsgiApp, settings: Settings, protocol: type[asyncio.Protocol], post: Post) -> None:
    """The same as one of several workers, which also ends when its supervisor does."""
    _run(_WorkerServer(_config(app, settings, protocol), post), [])


def _run(server: _Server, listeners: list[socket.socket]) -> None:
    _end_quietly()
    sys.setswitchinterval(_SWITCH_S)
    server.run(sockets=listeners)
    if not server.started:
        raise StoreError("start_failed", "the server could not start; the log above says why")


def _config(app: AsgiApp, settings: Settings, protocol: type[asyncio.Protocol]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        # An access log would repeat what decision records say better, and could hold what callers put into a URL.
        access_log=False,
        # Forwarded headers are believed by our own rule alone (`trusted_proxies`).
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_grace_s,
    )


def take_all_files() -> None:
    """Raise the number of open files to what the system grants: each connection is one, and 1024 is soon used up."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def log_to_stderr(level: str, worker: int | None = None) -> None:
    """Log from now on, in the name of a worker where there are several."""
    shown = _FORMAT if worker is None else _FORMAT.replace("%(message)s", f"worker {worker}: %(message)s")
    logging.basicConfig(stream=sys.stderr, format=shown, level=level.upper(), force=True)
    # Each opening of the store would else be told, of a worker that starts anew too.
    logging.getLogger("alembic").setLevel(logging.WARNING)


def listen(settings: Settings) -> socket.socket:
    """A socket that listens where the settings say.

    Raises:
        UsageError: `cannot_listen`.
    """
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        # The standard library appends the address in Python's spelling.
        reason = (error.strerror or "not possible").split(" (while", 1)[0].lower()
        raise UsageError("cannot_listen", f"cannot listen on `{host}` port {port}: {reason}") from None


def url_of(listener: socket.socket) -> str:
    """Where a listening socket is found."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _end_quietly() -> None:
    """What happens when uvicorn, after a graceful end, raises the signal again that it was ended by: nothing."""

    def ended(_signal: int, _frame: FrameType | None) -> None:
        return

    signal.signal(signal.SIGTERM, ended)
    signal.signal(signal.SIGINT, ended)
