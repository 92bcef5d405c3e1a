"""The facts as they are now: a fact base, and over it all that has changed since. Without a base, all there are.

What is in the changes is the whole truth of what it names, None for a fact that is gone; only what is not in them is
looked up in the base. Nothing is copied from the base but what a change touches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Never, cast

from policy_service.engine.base import NO_USER, FactBase
from policy_service.engine.base_rows import UserRow
from policy_service.engine.fold import Step, Verifiers
from policy_service.engine.grants import Standing
from policy_service.model.errors import StoreError
from policy_service.model.facts import ENTITIES, ApiKey, Fact, Key, Membership, RoleBinding, User

_NO_VERIFIERS: Final[Verifiers] = {}
_STEP: Final = 256


class _Dismantled:
    """Stands where the base was of facts that were given up."""

    def __getattr__(self, name: str) -> Never:
        raise StoreError("starting", "these facts were given up for newer ones; try again")


Place = tuple[str, str]
"""A workspace, and the id of something in it."""


class FactTable:
    """Facts by entity and key, with the indices that decisions need: memberships by user, bindings by user and team.

    Attributes:
        verifiers: of the keys that were touched since the base, by id; empty where one is gone.
        moved: by workspace and user, on what those stand who are not as the base says; for views, which fill it in.

    INVARIANT: it tells of any facts what a table without a base tells of them (test_base: fold from a base).
    """

    __slots__ = ("_changed", "_members", "_of_team", "_of_user", "base", "moved", "verifiers")

    def __init__(self, base: FactBase | None = None) -> None:
        self.base = base
        self._changed: defaultdict[str, dict[Key, Fact | None]] = defaultdict(dict)
        self.verifiers: dict[str, Verifiers] = {}
        self._members: dict[Place, set[str]] = {}
        self._of_user: dict[Place, dict[str, RoleBinding]] = {}
        self._of_team: dict[Place, dict[str, RoleBinding]] = {}
        self.moved: defaultdict[str, dict[str, Standing]] = defaultdict(dict)

    @property
    def weight(self) -> int:
        """How many facts were changed since the base: what a start from it has to fold again."""
        return sum(map(len, self._changed.values()))

    def fact(self, entity: str, key: Key) -> Fact | None:
        """One fact by entity name and key."""
        table = self._changed.get(entity)
        if table is not None and key in table:
            return table[key]
        return None if self.base is None else self.base.fact(entity, key)

    def facts(self, entity: str | None = None) -> Iterator[Fact]:
        """Every fact, or those of one entity; no order within an entity."""
        known = () if self.base is None else ENTITIES
        names = dict.fromkeys((*known, *self._changed)) if entity is None else (entity,)
        for name in names:
            changed = self._changed.get(name, {})
            if self.base is not None:
                yield from (fact for fact in self.base.facts(name) if fact.key() not in changed)
            yield from (fact for fact in changed.values() if fact is not None)

    def api_key(self, key_id: str) -> tuple[ApiKey, Verifiers] | None:
        """One key by its public id, and the verifiers of its secrets by slot number."""
        key = (key_id,)
        changed = self._changed.get(ApiKey.entity)
        if changed is not None and key in changed:
            fact = changed[key]
            return (fact, self._verifiers_of(key_id)) if isinstance(fact, ApiKey) else None
        found = None if self.base is None else self.base.api_key(key_id)
        if found is None or key_id not in self.verifiers:
            return found
        return found[0], self.verifiers[key_id]

    def _verifiers_of(self, key_id: str) -> Verifiers:
        verifiers = self.verifiers.get(key_id)
        if verifiers is not None:
            return verifiers
        found = None if self.base is None else self.base.api_key(key_id)
        return found[1] if found else _NO_VERIFIERS

    def keep_verifiers(self, key_id: str, verifiers: Verifiers | None) -> None:
        """These are all of a key's verifiers from here on. None: there is no such key, nor ever was."""
        if verifiers is not None:
            self.verifiers[key_id] = verifiers
        elif self.base is None:
            self.verifiers.pop(key_id, None)
        else:
            # The same key made again starts with nothing, also where the base has secrets of it.
            self.verifiers[key_id] = _NO_VERIFIERS

    def standing_of(self, workspace: str, user: str) -> UserRow:
        """What a user's grants rest on."""
        place = (workspace, user)
        base, changed = self.base, self._changed[User.entity]
        if base is not None and place not in changed and place not in self._members and place not in self._of_user:
            return base.standing_of(workspace, user)
        there = NO_USER if base is None else base.standing_of(workspace, user)
        fact = changed.get(place)
        suspended = there.suspended if place not in changed else fact.suspended if isinstance(fact, User) else None
        members, bindings = self._members.get(place), self._of_user.get(place)
        return UserRow(
            suspended,
            there.teams if members is None else tuple(sorted(members)),
            there.bindings if bindings is None else tuple(sorted(bindings)),
        )

    def bindings_of_user(self, workspace: str, user: str) -> Iterable[RoleBinding]:
        """The bindings that name a user."""
        changed = self._of_user.get((workspace, user))
        if changed is not None or self.base is None:
            return changed.values() if changed else ()
        return self.base.bindings(workspace, self.base.standing_of(workspace, user).bindings)

    def bindings_of_team(self, workspace: str, team: str) -> Iterable[RoleBinding]:
        """The bindings that name a team."""
        changed = self._of_team.get((workspace, team))
        if changed is not None or self.base is None:
            return changed.values() if changed else ()
        return self.base.bindings_of_team(workspace, team)

    def take(self, step: Step) -> None:
        """Put one fact in, or out. Its `before` is what is there."""
        table = self._changed[step.entity]
        table.pop(step.key, None)
        if step.after is not None or self.base is not None:
            table[step.key] = step.after
        for fact, is_there in ((step.before, False), (step.after, True)):
            if isinstance(fact, Membership):
                self._index_membership(fact, is_there)
                self._move(fact.workspace, fact.user)
            elif isinstance(fact, RoleBinding):
                self._index_binding(fact, is_there)
                self._move(fact.workspace, fact.user)
            elif isinstance(fact, User):
                self._move(fact.workspace, fact.id)

    def _move(self, workspace: str, user: str | None) -> None:
        """Note of a user that the base is no longer right."""
        if self.base is not None and user is not None and user not in self.moved[workspace]:
            self.moved[workspace][user] = Standing()

    def _index_membership(self, fact: Membership, is_there: bool) -> None:
        place = (fact.workspace, fact.user)
        teams = self._members.get(place)
        if teams is None:
            teams = self._members[place] = set(self.standing_of(*place).teams)
        if is_there:
            teams.add(fact.team)
        else:
            teams.discard(fact.team)
        if not teams and self.base is None:
            del self._members[place]

    def _index_binding(self, fact: RoleBinding, is_there: bool) -> None:
        if fact.user is not None:
            filed = self._filed(self._of_user, (fact.workspace, fact.user))
        elif fact.team is not None:
            filed = self._filed(self._of_team, (fact.workspace, fact.team))
        else:
            return
        filed.pop(fact.id, None)
        if is_there:
            filed[fact.id] = fact

    def _filed(self, index: dict[Place, dict[str, RoleBinding]], place: Place) -> dict[str, RoleBinding]:
        """The bindings of a user or team, to be changed."""
        filed = index.get(place)
        if filed is None:
            there = self.bindings_of_user(*place) if index is self._of_user else self.bindings_of_team(*place)
            filed = index[place] = {binding.id: binding for binding in there}
        return filed

    def dismantled(self) -> Iterator[None]:
        """Give up all that has changed, some at each step."""
        tables: list[dict[Any, Any]] = [*self._changed.values(), self.verifiers]
        tables += [self._members, self._of_user, self._of_team, *self.moved.values()]
        # Whoever has kept it all the same gets an error from here on, and no answer from what is left of the facts.
        self.__init__(cast("FactBase", _Dismantled()))  # type: ignore[misc]  # as new, over nothing
        for table in tables:
            while table:
                for _ in range(min(_STEP, len(table))):
                    table.popitem()
                yield

    def changed_keys(self) -> Iterator[tuple[str, tuple[ApiKey, Verifiers] | None]]:
        """The API keys that a next base must write anew, by id; None for those that are gone."""
        ids = dict.fromkeys((*(key_id for (key_id,) in self._changed.get(ApiKey.entity, {})), *self.verifiers))
        return ((key_id, self.api_key(key_id)) for key_id in ids)

    def changed_facts(self, entity: str) -> Mapping[Key, Fact | None]:
        """The facts of one entity that a next base must write anew; None for those that are gone."""
        return self._changed.get(entity, {})

    def changed_standings(self) -> Iterator[tuple[Place, UserRow]]:
        """The standing of every user that a next base must write anew."""
        users = ((workspace, user) for workspace, user in self._changed[User.entity])
        return ((place, self.standing_of(*place)) for place in {*users, *self._members, *self._of_user})

    def changed_bindings(self) -> Iterator[tuple[Place, tuple[str, ...]]]:
        """The ids of the bindings of every team that a next base must write anew."""
        return ((place, tuple(sorted(bindings))) for place, bindings in self._of_team.items())
