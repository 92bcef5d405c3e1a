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

from policy_service.cli.environment import AsgiApp
from policy_service.model.errors import StoreError, UsageError
from policy_service.settings import Settings

_BACKLOG: Final = 2048
_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _Server(uvicorn.Server):
    """Says when it listens: after the application's own start, not before."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


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
    listener = _listen(settings.host, settings.port)
    _log_to_stderr(settings.log_level)
    _take_all_files()
    server = _Server(_config(app, settings, protocol), lambda: ready(_url(listener)))
    with listener:
        _end_quietly()
        server.run(sockets=[listener])
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


def _take_all_files() -> None:
    """Raise the number of open files to what the system grants: each connection is one, and 1024 is soon used up."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(stream=sys.stderr, format=_FORMAT, level=level.upper(), force=True)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        # The standard library appends the address in Python's spelling.
        reason = (error.strerror or "not possible").split(" (while", 1)[0].lower()
        raise UsageError("cannot_listen", f"cannot listen on `{host}` port {port}: {reason}") from None


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _end_quietly() -> None:
    """What happens when uvicorn, after a graceful end, raises the signal again that it was ended by: nothing."""

    def ended(_signal: int, _frame: FrameType | None) -> None:
        return

    signal.signal(signal.SIGTERM, ended)
    signal.signal(signal.SIGINT, ended)
