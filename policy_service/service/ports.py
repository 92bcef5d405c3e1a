"""What the use cases need from outside, as protocols: the store of facts, the clock, ids, and the decision sink."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

from policy_service.engine.seen import SeenPart
from policy_service.model.change_query import ChangeQuery, ChangesFound
from policy_service.model.changes import Change, ChangeDraft
from policy_service.model.decision import Decision
from policy_service.model.errors import StoreError
from policy_service.model.facts import Fact, Key
from policy_service.model.request import Request
from policy_service.service.caller import Caller
from policy_service.service.recording.groups import Group

F = TypeVar("F", bound=Fact)
T = TypeVar("T")


class FactReader(Protocol):
    """The facts as one transaction sees them."""

    def get(self, entity: type[F], key: Key) -> F | None:
        """The fact with this key, or None."""
        ...

    def find(self, entity: type[F], *, after: Key | None = None, limit: int | None = None, **where: object) -> list[F]:
        """Facts whose fields equal `where`, in key order, from the first key past `after`, at most `limit`."""
        ...

    def present(self, entity: type[Fact], keys: Collection[Key]) -> set[Key]:
        """Those of the keys that some fact of the entity has."""
        ...

    def bundle_files(self, digest: str) -> dict[str, str] | None:
        """The text of a stored bundle, by relative path; None when there is no such bundle."""
        ...


class FactStore(Protocol):
    """The database of facts. Synchronous and thread-safe; database trouble is a StoreError."""

    def commit(self, plan: Callable[[FactReader], ChangeDraft | None], *, actor: str, now: int) -> Change | None:
        """Run `plan` under the write lock, apply its effects and append the change, in one transaction.

        Whatever `plan` raises rolls back and passes through. A plan of None changes nothing.
        """
        ...

    def read(self, query: Callable[[FactReader], T]) -> T:
        """The result of `query` on one consistent view of the facts."""
        ...

    def put_bundle(self, digest: str, files: Mapping[str, str]) -> str:
        """Store the text of a bundle, idempotently; the SHA-256 of the content."""
        ...

    def head(self) -> int:
        """The last committed revision; 0 for an empty store."""
        ...

    def changes_after(self, revision: int, limit: int) -> list[Change]:
        """Up to `limit` changes from `revision + 1` on, without gaps."""
        ...

    def find_changes(
        self, query: ChangeQuery, *, newest_first: bool = False, after: int = 0, before: int | None = None, limit: int
    ) -> ChangesFound:
        """Up to `limit` changes that fit, of the revisions between `after` and `before`, both excluded."""
        ...

    def version_token(self) -> tuple[int, str]:
        """The last committed revision and its hash: it differs once something was committed. Cheap."""
        ...

    def facts(self) -> Iterator[Fact]:
        """Every fact of every table."""
        ...


class Clock(Protocol):
    """The one source of time."""

    def now(self) -> int:
        """Nanoseconds since 1970-01-01T00:00:00Z."""
        ...


class IdSource(Protocol):
    """Where new names and secrets come from. Adapters draw them from the operating system's randomness."""

    def decision_id(self) -> str:
        """A name for one decision, unique for ever."""
        ...

    def key_id(self) -> str:
        """The public id of a new API key: 12 base62 characters."""
        ...

    def secret(self) -> str:
        """The secret of a new API key: 22 base62 characters, 130 bits."""
        ...

    def binding_id(self) -> str:
        """The id of a new role binding."""
        ...

    def shard_tail(self) -> str:
        """The end of a new ledger shard's id: 8 base62 characters."""
        ...


class Decided(msgspec.Struct, frozen=True, gc=False):
    """One decision as it is to be recorded. No secret is in it.

    Args:
        caller: who asked.
        batch_id: shared by the decisions of one batch, which saw one snapshot and one `now`.
        item_id: the caller's own id for this item of a batch, if it gave one.
        request_id: the name of the HTTP request it came in (`X-Request-Id`), shared by a batch; None where it came
            otherwise.
        trace_id: the W3C trace that the request belongs to, 32 hexadecimal digits; None likewise.
        key_fingerprint: keyed fingerprint of a well-formed key that is not known to the caller; None otherwise.
        explained: whether the caller asked for the steps.
        chain: hash of the last change that the deciding snapshot had seen: with the decision's revision, its name.
        asked: the request as the record has it, where `write_request` wrote it down already.
        facts: what that snapshot knew of the request, as a part of the line.
    """

    decision_id: str
    caller: Caller
    request: Request
    decision: Decision
    chain: str
    asked: bytes | None
    facts: SeenPart
    batch_id: str | None = None
    item_id: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    key_fingerprint: str | None = None
    explained: bool = False


class DecisionSink(Protocol):
    """Where decisions are recorded before they are answered."""

    def record(self, decided: Sequence[Decided]) -> Group:
        """Have all of them recorded, whole and in this order.

        Returns:
            what to wait for: no answer may leave before it is written, and none where that failed.
        """
        ...


class RecordLog(Protocol):
    """This process's shard of the ledger, as its writer sees it."""

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines, each followed by a line feed, in one write; all of them, or none.

        Raises:
            StoreError: `ledger_full`, `ledger_unavailable`. The next call tries again.
        """
        ...

    def sync(self) -> None:
        """Return when everything appended before the call survives a loss of power. In any thread; raises alike."""
        ...

    def probe(self) -> None:
        """Raise what `append` would raise now. Asked while it fails, by whoever asks whether the process is ready."""
        ...

    def warning(self) -> str | None:
        """A code for what will stop `append` soon, such as little space; None where nothing is in sight. Cheap."""
        ...


class CheckpointReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was done so far, by this process.

    Args:
        signed, sign_failures: checkpoints, and attempts that gave none.
        delivered, delivery_failures: the same of carrying them off, where there is a sink.
    """

    signed: int = 0
    sign_failures: int = 0
    delivered: int = 0
    delivery_failures: int = 0


class CheckpointState(Protocol):
    """How the signing of checkpoints goes, for those who ask whether this process is well."""

    def age_s(self) -> float | None:
        """Seconds since the last one; None before the first."""
        ...

    def trouble(self) -> StoreError | None:
        """Why nothing may be decided any more; None where it may."""
        ...

    def warning(self) -> str | None:
        """A code for what somebody should look at; None where all is well."""
        ...

    def report(self) -> CheckpointReport:
        """What was done so far."""
        ...
