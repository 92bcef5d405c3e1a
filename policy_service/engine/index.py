"""The rules of one resource type, found by scope and resource id without scanning.

Cost of a look-up: one dictionary access for the exact id and one for each *distinct length* of prefix in use; it does
not grow with the number of rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from policy_service.engine.endings import RESOURCE_NOT_ALLOWED, Ending, rule_fault

Satisfied = Callable[..., "bool | None"]
"""A generated condition: True, False, or None for a fault."""

NONE: Final = 1 << 60
"""The rank of no rule: after every other."""


class Bucket:
    """The rules that share a scope and one pattern.

    Attributes:
        deny: rank of the first unconditional deny rule, or NONE.
        denies: rank and condition of the conditional deny rules, by rank.
        allow: whether there is an unconditional allow rule.
        allows: the conditions of the allow rules.
    """

    __slots__ = ("allow", "allows", "denies", "deny")

    def __init__(self) -> None:
        self.deny = NONE
        self.denies: list[tuple[int, Satisfied]] = []
        self.allow = False
        self.allows: list[Satisfied] = []


class _Table:
    """The buckets of one scope, or of the rules for all scopes. No pattern is the prefix of length 0.

    `lookups`: for each length of prefix in use, the length and where to look.
    """

    __slots__ = ("_prefixes", "exact", "lookups")

    def __init__(self) -> None:
        self.exact: dict[str, Bucket] = {}
        self._prefixes: dict[int, dict[str, Bucket]] = {}
        self.lookups: tuple[tuple[int, Callable[[str], Bucket | None]], ...] = ()

    def bucket(self, text: str, *, is_prefix: bool) -> Bucket:
        if not is_prefix:
            return self.exact.setdefault(text, Bucket())
        if len(text) not in self._prefixes:
            buckets = self._prefixes[len(text)] = {}
            self.lookups += ((len(text), buckets.get),)
        return self._prefixes[len(text)].setdefault(text, Bucket())


class RuleIndex:
    """Built by the generated module, one rule after the other in order of names; then only read.

    A deny rule's *rank* is its place in that order: the smallest decides which one gives the reason.
    """

    __slots__ = ("_default_allow", "_denials", "_faults", "_tables", "_unscoped")

    def __init__(self, *, default_allow: bool) -> None:
        self._default_allow = default_allow
        self._tables: dict[str, tuple[_Table, ...]] = {}
        self._unscoped: tuple[_Table, ...] = ()
        self._denials: list[Ending] = []
        self._faults: list[Ending] = []

    def deny(
        self,
        name: str,
        *,
        ending: Ending,
        scopes: Sequence[str] | None = None,
        ids: Sequence[str] = (),
        prefixes: Sequence[str] = (),
        satisfied: Satisfied | None = None,
    ) -> None:
        """Add a deny rule. Without `satisfied` it always is; `scopes` None: all; the prefix "" is every id."""
        rank = len(self._denials)
        self._denials.append(ending)
        self._faults.append(rule_fault(name))
        for bucket in self._buckets(scopes, ids, prefixes):
            if satisfied is None:
                bucket.deny = min(bucket.deny, rank)
            else:
                bucket.denies.append((rank, satisfied))

    def allow(
        self,
        *,
        scopes: Sequence[str] | None = None,
        ids: Sequence[str] = (),
        prefixes: Sequence[str] = (),
        satisfied: Satisfied | None = None,
    ) -> None:
        """Add an allow rule; parameters as for `deny`."""
        for bucket in self._buckets(scopes, ids, prefixes):
            if satisfied is None:
                bucket.allow = True
            else:
                bucket.allows.append(satisfied)

    def judge(self, scope: str, identity: str, *facts: Any) -> Ending | None:
        """The resource_policy check: None where it passes.

        Args:
            facts: what the conditions of this type take, in their order.
        """
        denied = faulted = NONE
        allowed = self._default_allow
        buckets = self._find(scope, identity)
        for bucket in buckets:
            allowed = allowed or bucket.allow
            if bucket.deny < denied:  # noqa: PLR1730 - min() costs three times as much, on the hot path
                denied = bucket.deny
            for rank, satisfied in bucket.denies:
                if rank >= denied:
                    break
                outcome = satisfied(*facts)
                if outcome:
                    denied = rank
                elif outcome is None and rank < faulted:
                    faulted = rank
        if denied < NONE:
            return self._denials[denied]
        if faulted < NONE:
            return self._faults[faulted]
        return None if allowed or _any_satisfied(buckets, facts) else RESOURCE_NOT_ALLOWED

    def _find(self, scope: str, identity: str) -> list[Bucket]:
        """The buckets whose rules apply to a scope and a resource id."""
        found: list[Bucket] = []
        for table in self._tables.get(scope, self._unscoped):
            bucket = table.exact.get(identity)
            if bucket is not None:
                found.append(bucket)
            for length, look_up in table.lookups:
                bucket = look_up(identity[:length])
                if bucket is not None:
                    found.append(bucket)
        return found

    def _buckets(self, scopes: Sequence[str] | None, ids: Sequence[str], prefixes: Sequence[str]) -> Iterator[Bucket]:
        for table in self._tables_for(scopes):
            for text in ids:
                yield table.bucket(text, is_prefix=False)
            for text in prefixes:
                yield table.bucket(text, is_prefix=True)

    def _tables_for(self, scopes: Sequence[str] | None) -> Iterator[_Table]:
        """Where rules for these scopes are filed. A scope's own table is looked up before that for all scopes."""
        if scopes is None:
            if not self._unscoped:
                self._unscoped = (_Table(),)
                self._tables = {scope: tables + self._unscoped for scope, tables in self._tables.items()}
            yield self._unscoped[0]
            return
        for scope in scopes:
            if scope not in self._tables:
                self._tables[scope] = (_Table(), *self._unscoped)
            yield self._tables[scope][0]


def _any_satisfied(buckets: Sequence[Bucket], facts: tuple[Any, ...]) -> bool:
    """Whether some conditional allow rule is satisfied; one that faults is not."""
    for bucket in buckets:
        for satisfied in bucket.allows:
            if satisfied(*facts):
                return True
    return False
