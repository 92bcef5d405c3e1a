"""The least that a key needs for what it was recorded to do: the smallest set of scopes, proven by a replay.

What was used decides, nothing else: a scope that is used once a year must have been used in the records looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from policy_service.language.policy import Policy, Scope
from policy_service.ledger.codec import decode_record
from policy_service.ledger.query import Wanted, finder
from policy_service.ledger.reader import Source
from policy_service.ledger.record import DecisionRecord
from policy_service.model.errors import UsageError
from policy_service.model.facts import ApiKey
from policy_service.model.instants import format_rfc3339
from policy_service.service.auditing.archive import Archive, ArchivedPrograms
from policy_service.service.auditing.foresee import Foreseen, Scenario, foresee
from policy_service.service.auditing.history import History
from policy_service.service.auditing.hypotheses import with_scopes
from policy_service.service.auditing.record_order import LineFilter, RecordOrder
from policy_service.service.auditing.replay import ReplayOptions


class LeastPrivilege(msgspec.Struct, frozen=True, kw_only=True):
    """What a key needed.

    Args:
        key: as it is now.
        used: how often each scope was allowed to it.
        undeclared: scopes among them that the policy does not declare any more; no key can be given these.
        needed: the smallest set that covers the others.
        unneeded: scopes that it has, and that `needed` neither names nor implies.
        proof: every recorded decision on the key again, as if it had always had `needed` alone.
    """

    key: ApiKey
    used: dict[str, int]
    undeclared: tuple[str, ...]
    needed: tuple[str, ...]
    unneeded: tuple[str, ...]
    proof: Foreseen

    @property
    def is_proven(self) -> bool:
        """Whether nothing that was allowed would have been denied, and everything could be looked at."""
        return not self.proof.flips["allow-to-deny"] and self.proof.compared == self.proof.records


def least_privilege(
    archive: Archive, sources: Iterable[Source], key_id: str, options: ReplayOptions | None = None
) -> LeastPrivilege:
    """Look through the records for what a key did.

    Raises:
        UsageError: `no_key`, there is no such key now.
        StoreError: the facts or the files cannot be read.
    """
    options, files = options or ReplayOptions(), list(sources)
    key, policy = _now(archive, key_id)
    options = msgspec.structs.replace(options, wanted=_of_key(key_id, options.wanted))
    used = _used(files, options)
    declared = {name for name in used if name in policy.scopes}
    needed = smallest(declared, policy.scopes)
    covered = closure(needed, policy.scopes)
    return LeastPrivilege(
        key=key,
        used=dict(sorted(used.items())),
        undeclared=tuple(sorted(set(used) - declared)),
        needed=needed,
        unneeded=tuple(sorted(set(key.scopes) - covered)),
        proof=foresee(archive, files, Scenario(edits=(with_scopes(key_id, needed),)), options),
    )


def smallest(used: Iterable[str], scopes: Mapping[str, Scope]) -> tuple[str, ...]:
    """The fewest of the used scopes that imply them all, sorted. They give no more than the used ones do.

    A scope that implies more than was used is never taken for several: that would be a wider key.
    """
    kept = sorted(set(used))
    for name in list(kept):
        others = [other for other in kept if other != name]
        if name in closure(others, scopes):
            kept = others
    return tuple(kept)


def closure(names: Iterable[str], scopes: Mapping[str, Scope]) -> frozenset[str]:
    """The scopes and all that they imply."""
    return frozenset[str]().union(*(scopes[name].closure for name in names))


def new_key_body(found: LeastPrivilege) -> dict[str, Any]:
    """The body of `POST /v1/keys` for a key that has what is needed and is else as this one."""
    key = found.key
    body = {
        "principal": {"kind": key.principal_kind, "id": key.principal_id},
        "scopes": list(found.needed),
        "expires_at": None if key.expires_at is None else format_rfc3339(key.expires_at),
        "cidrs": list(key.cidrs),
        "labels": key.labels,
    }
    return {name: value for name, value in body.items() if value}


def _now(archive: Archive, key_id: str) -> tuple[ApiKey, Policy]:
    """The key and the active policy at the end of the past."""
    history = History(archive, ArchivedPrograms(archive))
    history.finish()
    if history.broken is not None:
        raise history.broken
    key, program = history.snapshot.api_key(key_id), history.snapshot.program
    if key is None or program is None:
        raise UsageError("no_key", f"there is no key `{key_id}`; `keys list` shows the ids")
    return key, program.policy


def _of_key(key_id: str, others: LineFilter | None) -> LineFilter:
    """Records on a key, of those that are wanted anyway."""
    find = finder(Wanted(key=key_id))
    return lambda text: find(text) is not None and (others is None or others(text))


def _used(sources: Iterable[Source], options: ReplayOptions) -> Counter[str]:
    """How often each scope was allowed."""
    used: Counter[str] = Counter()
    order = RecordOrder(sources, lambda _unread: None, wanted=options.wanted, run_bytes=options.run_bytes)
    for groups in order.passes():
        for group in groups:
            records = (decode_record(text, is_checked=False) for text in group.texts)
            used.update(
                record.request.scope
                for record in records
                if isinstance(record, DecisionRecord) and record.decision == "allow"
            )
    return used
