"""Looking at a folder again whenever something in it changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from policy_service.cli.shared.screen import Screen
from policy_service.model.errors import UsageError
from policy_service.service.policies.policy_folder import State, folder_state

INTERVAL_S: Final = 0.05


def watch_folder(path: Path, look: Callable[[], object], screen: Screen, sleep: Callable[[float], None]) -> None:
    """Call `look` now and after every change of a file, until Ctrl-C. Polls twenty times a second.

    A folder that goes away for a moment is told of, and waited for.
    """
    seen: State | None = None
    try:
        while True:
            state = folder_state(path)
            if state != seen:
                seen = state
                _look(look, screen)
            sleep(INTERVAL_S)
    except KeyboardInterrupt:
        return


def _look(look: Callable[[], object], screen: Screen) -> None:
    try:
        look()
    except UsageError as error:
        screen.error(error.code, error.message)
