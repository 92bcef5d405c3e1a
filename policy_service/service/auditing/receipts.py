"""Receipts of revocations: what was revoked, and which change did it; and what the ledger says about it afterwards.

A receipt stands for itself: with the change's number and hash it names one place in the chain that every checkpoint
signs. It holds no secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from policy_service.ledger.browsing import oldest_first
from policy_service.ledger.layout import contents
from policy_service.ledger.query import Wanted, finder
from policy_service.ledger.record import DecisionRecord
from policy_service.model.change_query import ChangeQuery
from policy_service.model.changes import Change, Effect
from policy_service.model.errors import UsageError
from policy_service.model.facts import ApiKey
from policy_service.service.ports import FactStore

SHOWN: Final = 1000
"""Decisions of each sort that a report lists; it counts all."""
_LONGEST: Final = 1 << 20


class RevokedPrincipal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who the key acted as."""

    kind: str
    id: str


class RevocationReceipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was revoked, by whom, when, and as which change.

    Args:
        revoked_at: nanoseconds UTC, decimal.
        revision, change_hash: the change's number and hash.
    """

    v: Literal[1] = 1
    kind: Literal["revocation"] = "revocation"
    key_id: str
    workspace: str
    principal: RevokedPrincipal
    revoked_at: str
    reason: str | None
    actor: str
    revision: int
    change_hash: str


class DecisionAfter(msgspec.Struct, frozen=True, kw_only=True):
    """One decision on a revoked key. `lag_ns`: how long after the revocation; negative before it."""

    id: str
    at: str
    decision: str
    reason: str
    revision: int
    lag_ns: int
    caller: str


class RevocationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a ledger says about a revocation.

    Args:
        troubles: why the receipt itself does not hold here.
        decisions: how many there were on that key after it; denied: of those.
        violations: allows on facts that had seen the revocation: there must be none.
        late_allows: allows after it on facts that had not: the time until every process had seen it.
        listed: the decisions, by time.
        violation_count, late_allow_count: how many there were; of each list the first `SHOWN` are here.
        longest_lag_ns: of the late allows; 0 where there are none.
    """

    receipt: RevocationReceipt
    troubles: tuple[str, ...]
    decisions: int
    denied: int
    violations: tuple[DecisionAfter, ...]
    late_allows: tuple[DecisionAfter, ...]
    listed: tuple[DecisionAfter, ...]
    violation_count: int
    late_allow_count: int
    longest_lag_ns: int

    @property
    def is_good(self) -> bool:
        """Whether the receipt holds, and nobody was let in on facts that had seen the revocation."""
        return not self.troubles and not self.violation_count


def receipt_of(store: FactStore, key: ApiKey) -> RevocationReceipt | None:
    """The receipt of a revoked key, whenever it is asked for; None where it is not revoked."""
    if key.revoked_at is None:
        return None
    query = ChangeQuery(since=key.revoked_at, until=key.revoked_at + 1)
    found = store.find_changes(query, limit=100).changes
    change = next((one for one in found if any(_revokes(effect, key.id) for effect in one.effects)), None)
    return None if change is None else _receipt(key, change)


def _receipt(key: ApiKey, change: Change) -> RevocationReceipt:
    return RevocationReceipt(
        key_id=key.id,
        workspace=key.workspace,
        principal=RevokedPrincipal(key.principal_kind, key.principal_id),
        revoked_at=str(key.revoked_at),
        reason=key.revoke_reason,
        actor=change.actor,
        revision=change.revision,
        change_hash=change.hash,
    )


def _revokes(effect: Effect, key_id: str) -> bool:
    """Whether it is this effect that ended the key."""
    before, after = effect.before or {}, effect.after or {}
    is_of_key = effect.entity == ApiKey.entity and effect.key == (key_id,)
    return is_of_key and before.get("revoked_at") is None and after.get("revoked_at") is not None


def read_receipt(file: Path) -> RevocationReceipt:
    """A receipt from a file: by itself, or in the answer that it came in.

    Raises:
        UsageError: `unfit_receipt`.
    """
    try:
        document: Any = msgspec.json.decode(file.read_bytes()[:_LONGEST])
        for member in ("data", "receipt"):
            if isinstance(document, dict) and member in document:
                document = document[member]
        return msgspec.convert(document, RevocationReceipt)
    except OSError as error:
        reason = (error.strerror or "input failed").lower()
        raise UsageError("unfit_receipt", f"cannot read `{file}`: {reason}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        told = f"`{file}` is no receipt of a revocation; give the `receipt` that revoking the key answered with"
        raise UsageError("unfit_receipt", told) from None


def check_revocation(
    receipt: RevocationReceipt,
    folder: Path,
    changes: Iterable[Change] | None,
    advance: Callable[[int], object] = lambda _records: None,
) -> RevocationReport:
    """What happened to a key after it was revoked.

    Args:
        changes: the feed from its beginning; None: it cannot be had.
        advance: told how many records were looked at since.

    Cost: one look at every record, 0.3 µs each; memory is flat in their number.
    """
    revoked_at = int(receipt.revoked_at)
    find, aftermath = finder(Wanted(key=receipt.key_id)), _Aftermath(receipt.revision)
    for seen in oldest_first(contents(folder)):
        advance(1)
        record = find(seen.text)
        if record is not None and (int(record.at) >= revoked_at or record.revision >= receipt.revision):
            aftermath.add(_after(record, revoked_at))
    return aftermath.report(receipt, _troubles(receipt, changes))


class _Aftermath:
    """The decisions after a revocation: all counted, the first of them kept.

    Args:
        revision: of the revocation.
    """

    def __init__(self, revision: int) -> None:
        self._revision = revision
        self._decisions, self._violations, self._late_allows = _Some(), _Some(), _Some()
        self._longest_lag_ns: int | None = None

    def add(self, one: DecisionAfter) -> None:
        """One more, in order of time."""
        self._decisions.add(one)
        if one.decision != "allow":
            return
        if one.revision >= self._revision:
            self._violations.add(one)
            return
        self._late_allows.add(one)
        longest = self._longest_lag_ns
        self._longest_lag_ns = one.lag_ns if longest is None else max(longest, one.lag_ns)

    def report(self, receipt: RevocationReceipt, troubles: tuple[str, ...]) -> RevocationReport:
        """All that there is to tell."""
        allowed = self._violations.count + self._late_allows.count
        return RevocationReport(
            receipt=receipt,
            troubles=troubles,
            decisions=self._decisions.count,
            denied=self._decisions.count - allowed,
            violations=tuple(self._violations.first),
            late_allows=tuple(self._late_allows.first),
            listed=tuple(self._decisions.first),
            violation_count=self._violations.count,
            late_allow_count=self._late_allows.count,
            longest_lag_ns=self._longest_lag_ns or 0,
        )


class _Some:
    """How many there are, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[DecisionAfter] = []

    def add(self, one: DecisionAfter) -> None:
        """One more."""
        self.count += 1
        if self.count <= SHOWN:
            self.first.append(one)


def _after(record: DecisionRecord, revoked_at: int) -> DecisionAfter:
    return DecisionAfter(
        id=record.id,
        at=record.at,
        decision=record.decision,
        reason=record.reason,
        revision=record.revision,
        lag_ns=int(record.at) - revoked_at,
        caller=record.caller.actor,
    )


def _troubles(receipt: RevocationReceipt, changes: Iterable[Change] | None) -> tuple[str, ...]:
    """Why the receipt does not hold: the change is not there, is another, or did not revoke that key."""
    if changes is None:
        return ()
    change = next((one for one in changes if one.revision == receipt.revision), None)
    if change is None:
        return (f"there is no change {receipt.revision} in this store: it was dropped, or this is another store",)
    if change.hash != receipt.change_hash or change.expected_hash() != receipt.change_hash:
        return (f"change {receipt.revision} is not the one that the receipt names: its hash is another",)
    if not any(_revokes(effect, receipt.key_id) for effect in change.effects):
        return (f"change {receipt.revision} did not revoke key `{receipt.key_id}`",)
    return ()
