"""The ledger's keys: `signing.key` with the private ones, the last of them current, and beside it `signing.pub` with
every verifier key there ever was.

How a key is followed by another: `rotate` adds one, and from then on every checkpoint is signed by *all* keys in
`signing.key`, so that an auditor who has the old verifier key can go on with it. Once all auditors have the new one,
`retire` takes the old key out of `signing.key`. It stays in `signing.pub`: what it signed can be verified for ever. All
keys of a file have one name, since the name is part of each log's identity.

Whoever can write `signing.pub` can add a key to it, so it is a convenience and no proof. An auditor keeps verifier keys
elsewhere.

Source: issue of the ledger; `service/peppers.py`, whose files have the same manners; decision page 8.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

from policy_service.ledger.notes import FormatError, Signer, Verifier, is_key_name
from policy_service.model.errors import UsageError

MAX_SIGNERS: Final = 8
"""Private keys in one file. Every reader of notes accepts 16 signatures, and witnesses add theirs."""

_Key = TypeVar("_Key", Signer, Verifier)
_MAX_FILE_BYTES: Final = 1 << 20
_SECRET_MODE: Final = 0o600
_PUBLIC_MODE: Final = 0o644


def default_name() -> str:
    """A name for a key that no other installation has, so that no file of another's is taken for one's own."""
    return f"policy-service/{secrets.token_hex(8)}"


def verifiers_path(path: Path) -> Path:
    """Where the verifier keys are: beside the private ones."""
    return path.with_suffix(".pub")


def create(path: Path, name: str) -> Signer:
    """Make the files with one fresh key, mode 0600 for the private one; a missing folder is made with 0700.

    Args:
        path: of the private keys, `signing.key`.
        name: of the key; `default_name()`, or a URL without its scheme that is the operator's.

    Raises:
        UsageError: `signing_key_exists`: it is never overwritten; `invalid_key_name`; `loose_signing_key`: others may
            enter the folder; `signing_key_busy`, `unwritable_signing_key`; as `load_verifiers`.
    """
    if not is_key_name(name):
        raise UsageError("invalid_key_name", f"`{name}` cannot name a key: no white space, no `+`, not empty")
    _make_folder(path)
    with _rewriting(path) as draft:
        if path.exists():
            raise UsageError("signing_key_exists", f"`{path}` exists; signing keys are never overwritten")
        signer = Signer.generate(name)
        draft.write([signer])
    return signer


def load_signers(path: Path) -> tuple[Signer, ...]:
    """The private keys, at least one; the last is current. A checkpoint is signed by all of them.

    Raises:
        UsageError: `missing_signing_key`, `loose_signing_key` (others may read the file or enter its folder),
            `damaged_signing_key`, `unreadable_signing_key`.
    """
    try:
        _refuse_loose_modes(path)
        lines = _lines(path)
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise UsageError("unreadable_signing_key", f"cannot read `{path}`: {_reason(error)}") from None
    signers = tuple(_parse(Signer.parse, path, number, line) for number, line in enumerate(lines, 1))
    if not _belong_together(signers):
        raise UsageError("damaged_signing_key", f"`{path}` is not a file of signing keys; restore it from a backup")
    return signers


def load_verifiers(path: Path) -> tuple[Verifier, ...]:
    """The verifier keys of a file, in order: `signing.pub`, or what an auditor kept.

    Raises:
        UsageError: `missing_verifier_keys`, `damaged_verifier_keys` (it names the line), `unreadable_verifier_keys`.
    """
    try:
        lines = _lines(path)
    except FileNotFoundError:
        raise UsageError(
            "missing_verifier_keys", f"there are no verifier keys at `{path}`; restore them from a backup"
        ) from None
    except OSError as error:
        raise UsageError("unreadable_verifier_keys", f"cannot read `{path}`: {_reason(error)}") from None
    if not lines:
        raise UsageError("damaged_verifier_keys", f"`{path}` is not a file of verifier keys: it is too large")
    return tuple(_parse(Verifier.parse, path, number, line) for number, line in enumerate(lines, 1))


def rotate(path: Path) -> tuple[Signer, ...]:
    """Add a fresh key of the same name, which is current from now on. The old ones go on signing until retired.

    Raises:
        UsageError: as `load_signers` and `load_verifiers`; `too_many_signing_keys`, `signing_key_busy`,
            `unwritable_signing_key`.
    """
    with _rewriting(path) as draft:
        before = load_signers(path)
        if len(before) >= MAX_SIGNERS:
            raise UsageError("too_many_signing_keys", f"`{path}` has {len(before)} keys; retire the oldest first")
        after = (*before, Signer.generate(before[-1].verifier.name))
        draft.write(after)
    return after


def retire(path: Path, key_id: str) -> tuple[Signer, ...]:
    """Take a private key out for good. Its verifier key stays, and what it signed verifies.

    Raises:
        UsageError: `unknown_signing_key`; `signing_key_in_use`: it is current; and as `rotate`.
    """
    with _rewriting(path) as draft:
        before = load_signers(path)
        after = tuple(signer for signer in before if signer.verifier.key_id != key_id)
        if len(after) == len(before):
            raise UsageError("unknown_signing_key", f"`{path}` has no key `{key_id}`")
        if before[-1].verifier.key_id == key_id:
            raise UsageError("signing_key_in_use", f"key `{key_id}` is the current one; rotate first")
        draft.write(after)
    return after


def _belong_together(signers: Sequence[Signer]) -> bool:
    """Whether they can be the keys of one file."""
    names = {signer.verifier.name for signer in signers}
    return len(names) == 1 and len({signer.verifier for signer in signers}) == len(signers) <= MAX_SIGNERS


def _parse(parse: Callable[[str], _Key], path: Path, number: int, line: str) -> _Key:
    """A key of a file. What the line says is never told: it may be a secret."""
    try:
        return parse(line)
    except FormatError as error:
        code = "damaged_signing_key" if error.code == "malformed_signing_key" else "damaged_verifier_keys"
        raise UsageError(code, f"`{path}`, line {number}: {error.message}; restore the file from a backup") from None


def _lines(path: Path) -> list[str]:
    """The lines of a small file; none where it is too large."""
    with path.open("rb") as file:
        content = file.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        return []
    return content.removesuffix(b"\n").decode("utf-8", "replace").split("\n")


class _Draft:
    """The new content of the private file, beside the old one until it is whole and on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._beside = path.with_name(f"{path.name}.new")
        self._is_in_place = False
        os.close(os.open(self._beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _SECRET_MODE))

    def write(self, signers: Sequence[Signer]) -> None:
        """Put it in the place of the old one, at once. Before that, the verifier keys have all that is in it.

        A crash in between leaves a verifier key whose private half nobody has: it signs nothing.
        """
        self._publish([signer.verifier for signer in signers])
        _write(self._beside, "".join(f"{signer.secret_text()}\n" for signer in signers), _SECRET_MODE)
        self._beside.replace(self._path)
        self._is_in_place = True
        _sync_folder(self._path.parent)

    def _publish(self, verifiers: Sequence[Verifier]) -> None:
        public = verifiers_path(self._path)
        known = load_verifiers(public) if public.exists() else ()
        missing = [verifier for verifier in verifiers if verifier not in known]
        if not missing:
            return
        beside = public.with_name(f"{public.name}.new")
        _write(beside, "".join(f"{verifier}\n" for verifier in (*known, *missing)), _PUBLIC_MODE)
        beside.replace(public)
        _sync_folder(public.parent)

    def close(self) -> None:
        """Leave nothing behind."""
        if not self._is_in_place:
            self._beside.unlink(missing_ok=True)


@contextlib.contextmanager
def _rewriting(path: Path) -> Iterator[_Draft]:
    """The draft is also the lock: of two who rewrite the file at once, one is refused."""
    try:
        _refuse_loose_folder(path)
        draft = _Draft(path)
    except FileExistsError:
        raise UsageError(
            "signing_key_busy", f"`{path}.new` exists: somebody is changing keys now; if nobody is, remove that file"
        ) from None
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        yield draft
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        draft.close()


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None


def _write(path: Path, content: str, mode: int) -> None:
    """The whole content on disk, in a file that is there or made with that mode."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_loose_modes(path: Path) -> None:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UsageError("loose_signing_key", f"others may read `{path}`; run `chmod 600 {path}`")
    _refuse_loose_folder(path)


def _refuse_loose_folder(path: Path) -> None:
    if stat.S_IMODE(path.parent.stat().st_mode) & 0o077:
        raise UsageError("loose_signing_key", f"others may enter `{path.parent}`; run `chmod 700 {path.parent}`")


def _missing(path: Path) -> UsageError:
    return UsageError(
        "missing_signing_key", f"there is no signing key at `{path}`; restore it from a backup, or run `init`"
    )


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError("unwritable_signing_key", f"cannot write `{path}`: {_reason(error)}")


def _reason(error: OSError) -> str:
    return (error.strerror or "input or output failed").lower()
