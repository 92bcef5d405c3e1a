"""The rules of one resource type, found by scope and resource id without scanning.

Cost of a look-up: one dictionary access for the exact id and one for each *distinct length* of prefix in use; it does
not grow with the number of rules. What was found is kept for the ids asked for last, and then it is one access in all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from policy_service.engine.endings import RESOURCE_NOT_ALLOWED, Ending, rule_fault

Satisfied = Callable[..., "bool | None"]
"""A generated condition: True, False, or None for a fault."""

NONE: Final = 1 << 60
"""The rank of no rule: after every other."""
KEPT: Final = 4096
"""So many pairs of scope and id are kept with what was found for them; for one more, all are forgotten."""


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


class Applying:
    """The rules of one type that apply to a scope and an id, put together. Many ids share one.

    Args:
        denies: conditions of deny rules by rank, with what they answer where they are satisfied and where they fault.
            None has a higher rank than the unconditional deny rule.
        denial: what the first unconditional deny rule answers; None where there is none.
        allow: whether the type's default or an unconditional rule allows.
        allows: conditions of allow rules.

    Attributes:
        is_settled: whether no condition has to be asked: then the answer is `ending`, for everybody.
    """

    __slots__ = ("_allow", "_allows", "_denial", "_denies", "ending", "is_settled")

    def __init__(
        self,
        *,
        denies: Sequence[tuple[Satisfied, Ending, Ending]],
        denial: Ending | None,
        allow: bool,
        allows: Sequence[Satisfied],
    ) -> None:
        self._denies, self._denial = tuple(denies), denial
        self._allow, self._allows = allow, tuple(allows)
        self.is_settled = not denies and (denial is not None or allow or not allows)
        self.ending = denial or (None if allow else RESOURCE_NOT_ALLOWED)

    def judge(self, *facts: Any) -> Ending | None:
        """The resource_policy check: None where it passes.

        Args:
            facts: what the conditions of this type take, in their order.
        """
        fault: Ending | None = None
        for satisfied, denial, faulted in self._denies:
            outcome = satisfied(*facts)
            if outcome:
                return denial
            if outcome is None and fault is None:
                fault = faulted
        if self._denial is not None:
            return self._denial
        if fault is not None:
            return fault
        if self._allow:
            return None
        for satisfied in self._allows:
            # One that faults is not satisfied.
            if satisfied(*facts):
                return None
        return RESOURCE_NOT_ALLOWED


class RuleIndex:
    """Built by the generated module, one rule after the other in order of names; then only read.

    A deny rule's *rank* is its place in that order: the smallest decides which one gives the reason.

    Attributes:
        found: the rules that apply, by scope and id, as far as they are kept; for the generated code, which asks
            `applying` for others.
    """

    __slots__ = ("_applying", "_default_allow", "_denials", "_faults", "_tables", "_unscoped", "found")

    def __init__(self, *, default_allow: bool) -> None:
        self._default_allow = default_allow
        self._tables: dict[str, tuple[_Table, ...]] = {}
        self._unscoped: tuple[_Table, ...] = ()
        self._denials: list[Ending] = []
        self._faults: list[Ending] = []
        self._applying: dict[tuple[Bucket, ...], Applying] = {}
        self.found: dict[tuple[str, str], Applying] = {}

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

    def applying(self, scope: str, identity: str) -> Applying:
        """The rules that apply to a scope and a resource id. Kept in `found`."""
        buckets = tuple(self._find(scope, identity))
        rules = self._applying.get(buckets)
        if rules is None:
            rules = self._applying[buckets] = self._together(buckets)
        if len(self.found) >= KEPT:
            self.found.clear()
        self.found[scope, identity] = rules
        return rules

    def _together(self, buckets: Sequence[Bucket]) -> Applying:
        deny = min((bucket.deny for bucket in buckets), default=NONE)
        denies = dict(one for bucket in buckets for one in bucket.denies if one[0] < deny)
        allow = self._default_allow or any(bucket.allow for bucket in buckets)
        return Applying(
            denies=[(one, self._denials[rank], self._faults[rank]) for rank, one in sorted(denies.items())],
            denial=None if deny == NONE else self._denials[deny],
            allow=allow,
            allows=[one for bucket in buckets for one in bucket.allows],
        )

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
