"""What if? The past edited: another policy, a key or a membership that was not there, a key with fewer scopes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from policy_service.engine.link import compile_policy
from policy_service.engine.ports import ProgramSource
from policy_service.engine.program import Program
from policy_service.language.policy import Policy
from policy_service.model.changes import Change, Effect
from policy_service.model.facts import ActiveBundle, ApiKey, Membership

Edit = Callable[[Effect], Effect | None]
"""What becomes of one effect; None: it does not happen."""

_ACTIVE: Final = ("active",)


class Edited:
    """Every effect through a few edits, in their order.

    Args:
        policy: decides from the first change on, whatever was activated; None: as it was.
    """

    def __init__(self, edits: Sequence[Edit] = (), policy: Policy | None = None) -> None:
        self._edits = (*edits, _without(ActiveBundle, _ACTIVE)) if policy is not None else tuple(edits)
        self._digest = None if policy is None else policy.digest

    def effects(self, change: Change) -> list[Effect]:
        """As Hypothesis says."""
        kept = [edited for effect in change.effects if (edited := self._edited(effect)) is not None]
        if self._digest is not None and change.revision == 1:
            after = msgspec.to_builtins(ActiveBundle(digest=self._digest))
            kept.append(Effect(ActiveBundle.entity, _ACTIVE, None, after))
        return kept

    def _edited(self, effect: Effect) -> Effect | None:
        for edit in self._edits:
            edited = edit(effect)
            if edited is None:
                return None
            effect = edited
        return effect


class WithPolicy:
    """A ProgramSource: the published programs, and one of a policy that was never published."""

    def __init__(self, published: ProgramSource, policy: Policy) -> None:
        self._published = published
        self._program = compile_policy(policy)

    def program(self, digest: str) -> Program:
        """As ProgramSource says."""
        return self._program if digest == self._program.digest else self._published.program(digest)


def without_key(key_id: str) -> Edit:
    """The key was never issued."""
    return _without(ApiKey, (key_id,))


def without_member(team: str, user: str, workspace: str | None = None) -> Edit:
    """The user was never a direct member of the team; in any workspace, where none is named."""

    def edit(effect: Effect) -> Effect | None:
        if effect.entity != Membership.entity or effect.key[1:] != (team, user):
            return effect
        return effect if workspace is not None and effect.key[0] != workspace else None

    return edit


def with_scopes(key_id: str, scopes: Sequence[str]) -> Edit:
    """The key was issued with these scopes."""

    def scoped(form: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if form is None else {**form, "scopes": sorted(scopes)}

    def edit(effect: Effect) -> Effect | None:
        if effect.entity != ApiKey.entity or effect.key != (key_id,):
            return effect
        return Effect(effect.entity, effect.key, scoped(effect.before), scoped(effect.after))

    return edit


def _without(entity: type[ActiveBundle] | type[ApiKey], key: tuple[str, ...]) -> Edit:
    return lambda effect: None if (effect.entity, effect.key) == (entity.entity, key) else effect
