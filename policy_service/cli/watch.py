"""Looking at a folder again whenever something in it changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from policy_service.cli.screen import Screen
from policy_service.model.errors import UsageError

INTERVAL_S: Final = 0.1
State = dict[str, tuple[int, int]]


def folder_state(path: Path) -> State:
    """Modification time (ns) and size of every file below `path`; hidden ones, which editors make, are passed over."""
    state: State = {}
    for folder, folders, names in os.walk(path, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                _add(state, os.path.join(folder, name))
    return state


def _add(state: State, path: str) -> None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        # Saved over or deleted between listing and looking: the next look sees it.
        return
    state[path] = (found.st_mtime_ns, found.st_size)


def watch_folder(path: Path, look: Callable[[], object], screen: Screen, sleep: Callable[[float], None]) -> None:
    """Call `look` now and after every change of a file, until Ctrl-C. Polls ten times a second.

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
