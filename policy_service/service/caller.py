"""A caller who was let in, and the workspaces it covers. Source: design, semantics 6."""

from __future__ import annotations

import msgspec

from policy_service.model.errors import RequestError
from policy_service.model.names import SYSTEM_WORKSPACE


class Caller(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A caller who was let in.

    Args:
        actor: how changes name it: `key:<id>` or `local:<uid>`.
        workspace: the caller's own; what it covers is `is_operator`'s to say.
        is_operator: a key of `system`, or a local command: covers all workspaces.
        scope: the scope that let it in; None for a local command, which may do everything.
        slot: which of the key's secrets was presented.
    """

    actor: str
    workspace: str
    is_operator: bool
    scope: str | None = None
    key_id: str | None = None
    principal_kind: str | None = None
    principal_id: str | None = None
    slot: int | None = None

    def covers(self, workspace: str) -> bool:
        """Whether facts of `workspace` are within this caller's reach."""
        return self.is_operator or self.workspace == workspace


def local_caller(user_id: int) -> Caller:
    """The caller of a command on a data directory: whoever may read the files is the operator."""
    return Caller(actor=f"local:{user_id}", workspace=SYSTEM_WORKSPACE, is_operator=True)


def target_workspace(caller: Caller, named: str | None) -> str:
    """The workspace a request is about: the one named by an operator, else the caller's own.

    Raises:
        RequestError: 403 `workspace_mismatch` when another workspace is named than the caller covers.
    """
    if named is None:
        return caller.workspace
    if not caller.covers(named):
        raise RequestError(
            "workspace_mismatch", f"this key belongs to workspace `{caller.workspace}` and covers no other", status=403
        )
    return named
