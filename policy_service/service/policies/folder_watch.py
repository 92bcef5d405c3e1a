"""Serving from a directory, the development mode: what its rule files mean decides, two seconds after a save at most.

One watcher in one process. A folder is read twice before it counts, so that an editor or a checkout in the midst of
writing is not believed; what has mistakes changes nothing and is told.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

import msgspec

from policy_service.model.errors import PolicyErrors, PolicyServiceError, UsageError
from policy_service.model.spans import Diagnostic
from policy_service.service.caller import Caller
from policy_service.service.checks import MAX_TEXT
from policy_service.service.following.follower import Follower
from policy_service.service.policies.bundles import Bundles
from policy_service.service.policies.policy_folder import Folder, folder_state, scan_folder

INTERVAL_S: Final = 0.1
SETTLED_S: Final = 0.3
"""Apart from each other are the two reads that must be alike."""

MAX_LOGGED: Final = 20
_LOG: Final = logging.getLogger(__name__)


class FolderWatch:
    """Publishes and activates the rule files of a folder whenever they change.

    Attributes:
        error: the first mistake as `file:line:col: message`, the file relative to the folder; None while what the
            folder says decides, or did when it last changed.
    """

    def __init__(
        self,
        folder: Path,
        bundles: Bundles,
        caller: Caller,
        *,
        interval_s: float = INTERVAL_S,
        settled_s: float = SETTLED_S,
    ) -> None:
        self._folder = folder
        self._bundles = bundles
        self._caller = caller
        self._interval_s = interval_s
        self._settled_s = settled_s
        self._seen: object = None
        self.error: str | None = None

    def activate(self) -> str | None:
        """Let the folder's files decide. The digest; None where they mean what decides already.

        Raises:
            PolicyErrors: the files have mistakes; what was active stays.
            UsageError: there is no folder to read.
            StoreError: the store cannot take them.
        """
        state = folder_state(self._folder)
        digest = self._take(scan_folder(self._folder))
        self._seen = state
        return digest

    def _take(self, folder: Folder) -> str | None:
        if folder.diagnostics:
            raise PolicyErrors(folder.diagnostics)
        published = self._bundles.publish(self._caller, folder.files, note=self._note())
        assert published.fact is not None  # publishing always leaves a bundle
        digest = published.fact.digest
        if digest == self._bundles.active():
            return None
        self._bundles.activate(self._caller, digest, note=self._note())
        return digest

    def _note(self) -> str:
        name = "".join(c if c.isprintable() else "?" for c in str(self._folder))
        return f"serve --policies {name}"[:MAX_TEXT]

    async def run(self, follower: Follower) -> None:
        """Watch until cancelled. `follower`: brings this process up to date after each activation."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self._look(follower)
            except Exception:
                _LOG.exception("watching `%s` failed; the running policy stays", self._folder)

    async def _look(self, follower: Follower) -> None:
        state = await asyncio.to_thread(folder_state, self._folder)
        if state == self._seen:
            return
        first = await asyncio.to_thread(self._read)
        # Most folders are settled at once: what takes longest is done while that is found out, and decides nothing yet.
        ahead = asyncio.create_task(asyncio.to_thread(self._prepare, first))
        await asyncio.sleep(self._settled_s)
        second = await asyncio.to_thread(self._read)
        await ahead
        if second != first:
            return
        try:
            digest = await asyncio.to_thread(self._believe, first)
        except PolicyErrors as errors:
            self._broken(errors.diagnostics)
        except UsageError as error:
            self._refused(error)
        except PolicyServiceError as error:
            # The store's trouble will pass: the same files are taken then.
            self._refused(error)
            return
        else:
            await self._mended(digest, follower)
        self._seen = state

    def _read(self) -> Folder | str:
        """What the folder holds, or why it cannot be read; two alike are equal."""
        try:
            return scan_folder(self._folder)
        except UsageError as error:
            return error.message

    def _prepare(self, read: Folder | str) -> None:
        if isinstance(read, Folder) and not read.diagnostics:
            self._bundles.prepare(read.files)

    def _believe(self, read: Folder | str) -> str | None:
        if isinstance(read, str):
            raise UsageError("unreadable_folder", read)
        return self._take(read)

    def _broken(self, found: tuple[Diagnostic, ...]) -> None:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        self.error = f"{found[0]}{more}"
        _LOG.error("the rule files of `%s` have mistakes; the running policy stays", self._folder)
        for diagnostic in found[:MAX_LOGGED]:
            place = (self._folder / diagnostic.span.file).as_posix()
            span = msgspec.structs.replace(diagnostic.span, file=place)
            _LOG.error("%s", msgspec.structs.replace(diagnostic, span=span))

    def _refused(self, error: PolicyServiceError) -> None:
        told = f"{error.message} [{error.code}]"
        if told != self.error:
            _LOG.error("cannot take the rule files of `%s`, the running policy stays: %s", self._folder, told)
        self.error = told

    async def _mended(self, digest: str | None, follower: Follower) -> None:
        if digest is not None:
            await follower.catch_up()
            _LOG.info("the rule files of `%s` decide now: %s", self._folder, digest)
        elif self.error is not None:
            _LOG.info("the rule files of `%s` mean again what decides", self._folder)
        self.error = None
