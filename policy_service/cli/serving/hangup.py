"""SIGHUP to a running server: read the peppers anew."""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from types import FrameType

from policy_service.model.errors import UsageError
from policy_service.service.peppers import Peppers

_LOG = logging.getLogger(__name__)


def reload_on_hangup(peppers: Peppers, path: Path) -> None:
    """From now on SIGHUP makes this process read its peppers anew. A file that is unfit changes nothing."""

    def reload(_signal: int, _frame: FrameType | None) -> None:
        reload_peppers(peppers, path)

    signal.signal(signal.SIGHUP, reload)


def reload_peppers(peppers: Peppers, path: Path) -> None:
    """Read them anew, and log what came of it."""
    try:
        peppers.adopt(Peppers.load(path))
    except UsageError as error:
        _LOG.error("the peppers stay as they are: %s [%s]", error.message, error.code)
    else:
        _LOG.info("peppers read anew; `%s` is current", peppers.current)
