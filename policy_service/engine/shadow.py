"""The same facts under another policy than the active one: what a candidate would decide, for the same request.

Nothing here touches the snapshot's own views: those keep what the active policy made of the facts. Whatever a decision
needs is made anew from the facts each time, so nothing can be stale; a shadow decision costs some microseconds more.

INVARIANT: it decides as the snapshot would, were the candidate the active bundle (test_shadow: as if it were active).
"""

from __future__ import annotations

from typing import cast

from policy_service.engine.closures import Closures
from policy_service.engine.grants import Grants, ResourceKey, Standing
from policy_service.engine.intervals import Intervals
from policy_service.engine.key_view import KeyView
from policy_service.engine.program import Program
from policy_service.engine.snapshot import Snapshot
from policy_service.engine.views import ResourceView, WorkspaceView
from policy_service.model.decision import Decision
from policy_service.model.request import Request


class ShadowProgram:
    """A candidate program that decides on any snapshot, whichever bundle is active there."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._closures = Closures(program.policy)

    def decide(self, request: Request, snapshot: Snapshot, now: int) -> Decision:
        """What the candidate says. `bundle` in it is the candidate's digest; everything else is as ever."""
        # The generated code asks a snapshot for three things, and these it has.
        lens = cast("Snapshot", _Lens(snapshot, self._closures))
        return self.program.decide(request, lens, now)


class _Lens:
    """What generated code asks of a snapshot: `revision`, `keys`, `closure_of`."""

    __slots__ = ("_closures", "_snapshot", "keys", "revision")

    def __init__(self, snapshot: Snapshot, closures: Closures) -> None:
        self._snapshot = snapshot
        self._closures = closures
        self.revision = snapshot.revision
        self.keys = self

    def __getitem__(self, key_id: str) -> KeyView | None:
        """The key, as seen under the candidate."""
        view = self._snapshot.keys[key_id]
        if view is None:
            return None
        return KeyView.of_fact(view.fact, cast("WorkspaceView", _WorkspaceLens(view.workspace, self._closures)))

    def closure_of(self, key: KeyView) -> frozenset[str]:
        """The key's scopes and all they imply under the candidate."""
        return self._closures.scopes(key.scopes)


class _WorkspaceLens:
    """What generated code asks of a workspace: `allowlist`, `resources`, and a user's grants."""

    __slots__ = ("_closures", "_view", "allowlist", "moved", "resources")

    def __init__(self, view: WorkspaceView, closures: Closures) -> None:
        self._view = view
        self._closures = closures
        self.allowlist: Intervals | None = view.allowlist
        self.moved: dict[str, Standing] = {}
        self.resources = _ResourceLens(view)

    def grants_of(self, user_id: str, _standing: Standing) -> Grants:
        """What a user has under the candidate."""
        return self._view.grants_under(user_id, self._closures)


class _ResourceLens:
    """The registered resources, without what the active policy read in them."""

    __slots__ = ("_view",)

    def __init__(self, view: WorkspaceView) -> None:
        self._view = view

    def __getitem__(self, place: ResourceKey) -> ResourceView | None:
        """A fresh view of one."""
        view = self._view.resources[place]
        return None if view is None else ResourceView(view.fact)
