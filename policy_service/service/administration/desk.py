"""The desk every noun of administration works at: walls between workspaces, one way to write, two ways to read."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Self, TypeVar

from policy_service.language.policy import Policy
from policy_service.model.api_key import DEFAULT_PREFIX
from policy_service.model.errors import RequestError, StoreError
from policy_service.model.facts import ActiveBundle, Fact, Key, ServicePrincipal, User, Workspace
from policy_service.service.access import refuse_lock_out
from policy_service.service.administration.paging import DEFAULT_LIMIT, check_limit, decode_cursor, encode_cursor
from policy_service.service.caller import Caller
from policy_service.service.checks import check_id
from policy_service.service.commits import commit
from policy_service.service.deciding.key_uses import KeyUses
from policy_service.service.peppers import Peppers
from policy_service.service.policies.bundles import Bundles
from policy_service.service.ports import Clock, FactReader, FactStore, IdSource
from policy_service.service.preconditions import Precondition
from policy_service.service.results import Found, Page, Planned, Written

F = TypeVar("F", bound=Fact)


class Desk:
    """What the nouns share. Every write is one `Store.commit` whose plan reads under the write lock."""

    def __init__(
        self,
        store: FactStore,
        clock: Clock,
        ids: IdSource,
        peppers: Peppers,
        bundles: Bundles,
        *,
        prefix: str = DEFAULT_PREFIX,
        uses: KeyUses | None = None,
    ) -> None:
        self._uses = uses
        self._store = store
        self._clock = clock
        self._ids = ids
        self._peppers = peppers
        self._bundles = bundles
        self._prefix = prefix
        self._precondition: Precondition | None = None

    def under(self, precondition: Precondition | None) -> Self:
        """The same desk, whose writes go ahead only where `precondition` holds when they begin; else they raise 412."""
        desk = copy.copy(self)
        desk._precondition = precondition
        return desk

    def _enter(self, caller: Caller, workspace: str) -> str:
        """The workspace, if the caller covers it. Whether it exists is judged after that, under the lock."""
        if not caller.covers(workspace):
            raise RequestError(
                "workspace_mismatch",
                f"this key belongs to workspace `{caller.workspace}` and covers no other",
                status=403,
            )
        return check_id("workspace", workspace)

    def _operator_only(self, caller: Caller, what: str) -> None:
        if not caller.is_operator:
            raise RequestError(
                "operator_only", f"{what} are the operator's; use a key of workspace `system`", status=403
            )

    def _write(
        self, caller: Caller, now: int, plan: Callable[[FactReader], Planned[F]], *, force: bool = False
    ) -> Written[F]:
        """Commit what `plan` finds to do, if the precondition holds under the same lock.

        Args:
            force: even if it ends the caller's own access; RequestError 409 `would_lock_out` otherwise.
        """

        def guarded(reader: FactReader) -> Planned[F]:
            planned = plan(reader)
            # INVARIANT: of two writes on the same tag one alone is made (test_of_writes_on_one_tag_one_is_made). After
            # the plan: whether the caller may know of the fact is judged first.
            if self._precondition is not None:
                self._precondition.judge(reader)
            if planned.draft is not None and not force:
                refuse_lock_out(reader, lambda: self._active_policy(reader), caller, planned.draft.effects)
            return planned

        return commit(self._store, caller, now, guarded)

    def _get(self, workspace: str, entity: type[F], key: Key) -> Found[F]:
        # The head first: what is read afterwards can only be newer.
        revision = self._store.head()
        fact = self._store.read(lambda reader: existing(reader, workspace, entity, key))
        return Found(fact=fact, revision=revision)

    def _list(
        self, workspace: str, entity: type[F], *, cursor: str | None, limit: int | None, **where: object
    ) -> Page[F]:
        size = check_limit(DEFAULT_LIMIT if limit is None else limit)
        after = decode_cursor(entity.entity, cursor, len(entity.key_fields))
        revision = self._store.head()

        def query(reader: FactReader) -> list[F]:
            existing_workspace(reader, workspace)
            return reader.find(entity, after=after, limit=size + 1, workspace=workspace, **where)

        found = self._store.read(query)
        return page(entity, found, size, revision)

    def _policy(self, reader: FactReader) -> Policy:
        """The active policy, as this transaction sees it."""
        policy = self._active_policy(reader)
        if policy is None:
            raise StoreError("no_policy", "no policy is active yet; run `init` or `policy activate`")
        return policy

    def _active_policy(self, reader: FactReader) -> Policy | None:
        active = reader.get(ActiveBundle, ("active",))
        return None if active is None else self._bundles.policy_in(reader, active.digest)


def page(entity: type[F], found: list[F], size: int, revision: int) -> Page[F]:
    """The first `size` of `found`, which holds one more when the list goes on."""
    items = tuple(found[:size])
    more = len(found) > size
    return Page(
        items=items, next_cursor=encode_cursor(entity.entity, items[-1].key()) if more else None, revision=revision
    )


def existing_workspace(reader: FactReader, workspace: str) -> Workspace:
    """The workspace, or RequestError 404 `not_found`."""
    found = reader.get(Workspace, (workspace,))
    if found is None:
        raise RequestError("not_found", f"there is no workspace `{workspace}`", status=404)
    return found


def existing(reader: FactReader, workspace: str, entity: type[F], key: Key) -> F:
    """The fact with this key in an existing workspace, or RequestError 404 `not_found`."""
    existing_workspace(reader, workspace)
    found = reader.get(entity, key)
    if found is None:
        what = entity.entity.replace("_", " ")
        raise RequestError("not_found", f"there is no {what} `{'/'.join(key[1:] or key)}` here", status=404)
    return found


def principal_exists(reader: FactReader, workspace: str, principal_id: str) -> bool:
    """Whether any principal has this id: users and service principals share one id space."""
    key = (workspace, principal_id)
    return reader.get(User, key) is not None or reader.get(ServicePrincipal, key) is not None
