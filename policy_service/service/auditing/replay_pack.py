"""A replay pack: the facts and bundles that records rest on, in one file that can be handed to an outside auditor.

JSON Lines, plain or, where the name ends in `.zst`, compressed: a header, then the bundles, then every change from the
first on. The changes carry no `sealed` part: verifiers of secrets, which no decision needs, stay at home. What was
taken out is committed to by its hash, so the chain of changes verifies all the same.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec
import zstandard

from policy_service.ledger.reader import opened
from policy_service.model.canonical import canonical_text
from policy_service.model.changes import GENESIS_HASH, Change
from policy_service.model.decision import SEMANTICS
from policy_service.model.errors import StoreError, UsageError
from policy_service.model.facts import ActiveBundle
from policy_service.service.auditing.archive import Archive

FORMAT: Final = "policy-service replay pack"
VERSION: Final = 1


class PackHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first line.

    Args:
        v: version of the format; a newer one is refused by name.
        semantics: of the engine that wrote the pack; for people.
        head, chain: the last change in it, number and hash.
        bundles: how many follow.
    """

    format: str
    v: int
    semantics: int
    head: int
    chain: str
    bundles: int


class _PackedBundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    bundle: str
    files: dict[str, str]


_HEADER: Final = msgspec.json.Decoder(PackHeader)
_BUNDLE: Final = msgspec.json.Decoder(_PackedBundle)
_CHANGE: Final = msgspec.json.Decoder(Change)


class Packed(msgspec.Struct, frozen=True):
    """What was written. `missing`: digests of bundles that were active once and are not in the store."""

    header: PackHeader
    missing: tuple[str, ...]


def write_pack(archive: Archive, path: Path, progress: Callable[[int], None] = lambda _count: None) -> Packed:
    """Write a pack of everything in an archive; the file is there whole or not at all.

    Args:
        progress: told how many changes were written since it was told last.

    Raises:
        UsageError: `unwritable_output`.
        StoreError: the archive cannot be read.
    """
    head, chain, digests = _survey(archive)
    files = {digest: archive.bundle_files(digest) for digest in digests}
    there = {digest: text for digest, text in files.items() if text is not None}
    header = PackHeader(format=FORMAT, v=VERSION, semantics=SEMANTICS, head=head, chain=chain, bundles=len(there))
    with _written(path) as stream:
        _write(stream, msgspec.to_builtins(header))
        for digest, text in there.items():
            _write(stream, {"bundle": digest, "files": dict(text)})
        for change in archive.changes():
            if change.revision > head:
                break
            _write(stream, msgspec.to_builtins(msgspec.structs.replace(change, sealed=None)))
            progress(1)
    return Packed(header, tuple(digest for digest, text in files.items() if text is None))


def _survey(archive: Archive) -> tuple[int, str, list[str]]:
    """The last change, its hash, and the bundles that were ever active."""
    head, chain, digests = 0, GENESIS_HASH, dict[str, None]()
    for change in archive.changes():
        head, chain = change.revision, change.hash
        for effect in change.effects:
            if effect.entity == ActiveBundle.entity and effect.after is not None:
                digests[effect.after["digest"]] = None
    return head, chain, list(digests)


def _write(stream: IO[bytes], document: Mapping[str, Any]) -> None:
    stream.write(canonical_text(document).encode() + b"\n")


@contextmanager
def _written(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name once it is complete, mode 0600."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as raw, _compressing(path, raw) as stream:
                yield stream
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        reason = (error.strerror or "output failed").lower()
        raise UsageError(
            "unwritable_output", f"cannot write `{path}`: {reason}; name a file in a folder of yours"
        ) from None


def _compressing(path: Path, raw: IO[bytes]) -> AbstractContextManager[IO[bytes]]:
    if path.suffix != ".zst":
        return nullcontext(raw)
    return cast("AbstractContextManager[IO[bytes]]", zstandard.ZstdCompressor().stream_writer(raw, closefd=False))


class PackArchive:
    """The past as a pack has it.

    Raises:
        UsageError: `no_pack`, the file is none; `unknown_pack`, it is one of a newer format.
        StoreError: `ledger_unreadable`; `damaged_pack`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = _lines(path)
        self.header = _header(path, next(lines, b""))
        self._files = dict(_bundle(path, line) for line in islice(lines, self.header.bundles))
        lines.close()

    def changes(self) -> Iterator[Change]:
        """As Archive says. Raises StoreError `damaged_pack`, also where the pack does not end with its last change."""
        head, chain = 0, GENESIS_HASH
        for line in islice(_lines(self._path), 1 + self.header.bundles, None):
            change = _change(self._path, line, head + 1)
            head, chain = change.revision, change.hash
            yield change
        if (head, chain) != (self.header.head, self.header.chain):
            raise _damaged(self._path, f"it ends at change {head}, and should at {self.header.head}")

    def bundle_files(self, digest: str) -> Mapping[str, str] | None:
        """As Archive says."""
        return self._files.get(digest)


def _lines(path: Path) -> Generator[bytes, None, None]:
    with opened(path) as (stream, raw):
        buffered = raw if stream is raw else io.BufferedReader(cast("io.RawIOBase", stream))
        try:
            yield from buffered
        except zstandard.ZstdError as error:
            raise _damaged(path, f"its compression: {error}".lower()) from None


def _header(path: Path, line: bytes) -> PackHeader:
    try:
        header = _HEADER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        header = None
    if header is None or header.format != FORMAT:
        raise UsageError("no_pack", f"`{path}` is no replay pack; write one with `ledger pack`")
    if header.v != VERSION:
        known = f"this version reads version {VERSION}: use a newer policy-service"
        raise UsageError("unknown_pack", f"`{path}` is a replay pack of version {header.v}; {known}")
    return header


def _bundle(path: Path, line: bytes) -> tuple[str, dict[str, str]]:
    try:
        packed = _BUNDLE.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _damaged(path, "a bundle cannot be read") from None
    return packed.bundle, packed.files


def _change(path: Path, line: bytes, revision: int) -> Change:
    try:
        return _CHANGE.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _damaged(path, f"change {revision} cannot be read") from None


def _damaged(path: Path, what: str) -> StoreError:
    return StoreError("damaged_pack", f"the replay pack `{path}` is damaged: {what}; ask for it again")
