"""Peppers rotate without reissuing keys: a new one becomes current, and old secrets are still checked under theirs.

A pepper under which no secret works any more can be retired: it leaves the file, and secrets made under it are unknown.
Nothing here touches the database or a running server, which reads the file when it starts and when it gets SIGHUP.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from policy_service.model.errors import UsageError
from policy_service.model.facts import ApiKey, Key
from policy_service.service.administration.key_state import seen_key
from policy_service.service.peppers import PEPPER_BYTES, Peppers
from policy_service.service.ports import FactStore

_PAGE = 1000


class PepperUse(msgspec.Struct, frozen=True, kw_only=True):
    """One pepper, and how many secrets were made under it.

    Args:
        working: secrets that are good, or will be; `ended`: of revoked and expired keys, and past their grace.
        state: `missing`: secrets name it, and the file does not have it.
    """

    id: str
    state: Literal["current", "old", "retired", "missing"]
    working: int
    ended: int


def pepper_uses(peppers: Peppers, keys: Iterable[ApiKey], now: int) -> list[PepperUse]:
    """Every pepper that the file or a secret names, by id."""
    working: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    for key in keys:
        for status, slot in seen_key(key, now, None).secrets:
            (ended if status == "ended" else working)[slot.pepper_id] += 1
    names = {*peppers.ids(), *peppers.retired, *working, *ended}
    return [
        PepperUse(id=name, state=_state(peppers, name), working=working[name], ended=ended[name])
        for name in sorted(names, key=_number)
    ]


def all_keys(store: FactStore) -> Iterator[ApiKey]:
    """Every key of every workspace, by id, read in pages."""
    page = _page(store, None)
    while page:
        yield from page
        page = _page(store, page[-1].key())


def _page(store: FactStore, after: Key | None) -> list[ApiKey]:
    return store.read(lambda reader: reader.find(ApiKey, after=after, limit=_PAGE))


def rotate(path: Path) -> Peppers:
    """Add a fresh pepper to the file and make it current.

    Raises:
        UsageError: as `Peppers.load`; `pepper_busy`, `unwritable_pepper`.
    """
    with _rewriting(path) as draft:
        before = Peppers.load(path)
        name = _next(before)
        after = before.with_pepper(name, secrets.token_bytes(PEPPER_BYTES))
        draft.write(after)
    return after


def retire(path: Path, name: str, uses: Iterable[PepperUse]) -> Peppers:
    """Take a pepper out of the file for good.

    Args:
        uses: as counted just now.

    Raises:
        UsageError: `unknown_pepper`; `pepper_in_use`: it is current, or secrets under it still work; and as `rotate`.
    """
    use = next((use for use in uses if use.id == name), None)
    with _rewriting(path) as draft:
        before = Peppers.load(path)
        if use is None or not before.knows(name):
            raise UsageError("unknown_pepper", f"the file has no pepper `{name}`; `peppers list` shows those it has")
        if name == before.current:
            raise UsageError("pepper_in_use", f"pepper `{name}` is the current one; run `peppers rotate` first")
        if use.working:
            raise UsageError(
                "pepper_in_use",
                f"{use.working} secrets under pepper `{name}` still work; rotate or revoke their keys first",
            )
        after = before.without_pepper(name)
        draft.write(after)
    return after


def _state(peppers: Peppers, name: str) -> Literal["current", "old", "retired", "missing"]:
    if name == peppers.current:
        return "current"
    if peppers.knows(name):
        return "old"
    return "retired" if name in peppers.retired else "missing"


def _number(name: str) -> tuple[int, str]:
    digits = name[1:]
    return (int(digits) if name[:1] == "p" and digits.isascii() and digits.isdigit() else 0, name)


def _next(peppers: Peppers) -> str:
    """A name that no pepper ever had in this file."""
    return f"p{max(_number(name)[0] for name in (*peppers.ids(), *peppers.retired)) + 1}"


class _Draft:
    """The new content of a pepper file, beside the old one until it is whole and on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._beside = path.with_name(f"{path.name}.new")
        self._descriptor = os.open(self._beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._is_in_place = False

    def write(self, peppers: Peppers) -> None:
        """Put it in the place of the old one, at once: whoever reads sees the one or the other."""
        os.write(self._descriptor, peppers.document())
        os.fsync(self._descriptor)
        self._beside.replace(self._path)
        self._is_in_place = True
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Leave nothing behind."""
        os.close(self._descriptor)
        if not self._is_in_place:
            self._beside.unlink(missing_ok=True)


@contextlib.contextmanager
def _rewriting(path: Path) -> Iterator[_Draft]:
    """The draft is also the lock: of two who rotate at once, one is refused."""
    try:
        draft = _Draft(path)
    except FileExistsError:
        raise UsageError(
            "pepper_busy", f"`{path}.new` exists: somebody is rotating now; if nobody is, remove that file"
        ) from None
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        yield draft
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        draft.close()


def _unwritable(path: Path, error: OSError) -> UsageError:
    reason = (error.strerror or "input or output failed").lower()
    return UsageError("unwritable_pepper", f"cannot write `{path}`: {reason}")
