"""Where a replay finds the past: every change of the facts, and the files of every bundle. No pepper, no secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Protocol, TypeVar

from policy_service.engine.link import compile_policy
from policy_service.engine.program import Program
from policy_service.model.changes import Change
from policy_service.model.errors import StoreError
from policy_service.model.facts import Fact, Key
from policy_service.service.policies.bundles import CACHED, load_bundle
from policy_service.service.policies.cache import Cache
from policy_service.service.ports import FactStore

F = TypeVar("F", bound=Fact)
PAGE: Final = 1000
"""Facts read at a time."""
BATCH: Final = 100
"""Changes read at a time: one that imports keys has hundreds of effects."""


class Archive(Protocol):
    """The past, as often as it is asked for."""

    def changes(self) -> Iterator[Change]:
        """Every change from the first on, in order. What is wrong with one is found by whoever folds them.

        Raises:
            StoreError: no more can be read.
        """
        ...

    def bundle_files(self, digest: str) -> Mapping[str, str] | None:
        """The files of a bundle by relative path; None where it is not here."""
        ...


class StoreArchive:
    """The past as a store has it, up to its head at the time this was made: `head`."""

    def __init__(self, store: FactStore) -> None:
        self._store = store
        self.head = store.head()

    def changes(self) -> Iterator[Change]:
        """As Archive says."""
        revision = 0
        while revision < self.head:
            found = self._store.changes_after(revision, min(BATCH, self.head - revision))
            if not found:
                return
            yield from found
            revision += len(found)

    def bundle_files(self, digest: str) -> Mapping[str, str] | None:
        """As Archive says."""
        return self._store.read(lambda reader: reader.bundle_files(digest))

    def head_now(self) -> int:
        """The store's last revision as of now."""
        return self._store.head()

    def facts(self, entity: type[F]) -> Iterator[F]:
        """All facts of one kind as of now, a page at a time, in the order of their keys."""
        after = None
        while page := self._page(entity, after):
            yield from page
            after = page[-1].key()

    def _page(self, entity: type[F], after: Key | None) -> list[F]:
        return self._store.read(lambda reader: reader.find(entity, after=after, limit=PAGE))


class ArchivedPrograms:
    """The engine's ProgramSource over an archive. Bundles that cannot be had are not asked for again.

    Attributes:
        troubles: why, by digest.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._programs: Cache[Program] = Cache(CACHED)
        self.troubles: dict[str, StoreError] = {}

    def program(self, digest: str) -> Program:
        """The linked program of a bundle.

        Raises:
            StoreError: `bundle_missing`, `bundle_damaged`, `bundle_unreadable`.
        """
        if digest in self.troubles:
            raise _again(self.troubles[digest])
        try:
            return self._programs.get(digest, lambda: self._linked(digest))
        except StoreError as error:
            self.troubles[digest] = error
            raise

    def _linked(self, digest: str) -> Program:
        return compile_policy(load_bundle(digest, self._archive.bundle_files(digest)))


def _again(error: StoreError) -> StoreError:
    """The same as a new one: each time it is raised it would grow its traceback."""
    return StoreError(error.code, error.message, error.details)
