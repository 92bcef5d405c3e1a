"""What users and service principals have in common: one id space, and a deletion that is final."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from policy_service.model.changes import Effect
from policy_service.model.errors import RequestError
from policy_service.model.facts import ApiKey, PrincipalKind, Resource, ServicePrincipal, User
from policy_service.service.administration.desk import existing_workspace, principal_exists
from policy_service.service.effects import draft, put, same
from policy_service.service.ports import FactReader
from policy_service.service.results import Planned

P = TypeVar("P", User, ServicePrincipal)

PRINCIPAL_DELETED = "principal_deleted"
"""The revoke reason of keys whose principal was deleted."""


def plan_principal(reader: FactReader, before: P | None, after: P) -> Planned[P]:
    """Set a principal. A new one needs an id that no principal has and no resource names as its owner.

    Raises:
        RequestError: 409 `conflict`, 409 `id_is_owner`, 404 `not_found` (the workspace).
    """
    existing_workspace(reader, after.workspace)
    if same(before, after):
        return Planned(draft=None, fact=after)
    if before is None:
        _refuse_taken(reader, after)
    change = draft("put", after, [put(after, before)], workspace=after.workspace)
    return Planned(draft=change, fact=after, created=before is None)


def _refuse_taken(reader: FactReader, made: User | ServicePrincipal) -> None:
    if principal_exists(reader, made.workspace, made.id):
        raise RequestError(
            "conflict", f"`{made.id}` is taken: users and service principals share one id space", status=409
        )
    # Else a newcomer would come into resources that were entered under this id for somebody else.
    owned = reader.find(Resource, limit=1, workspace=made.workspace, owner=made.id)
    if owned:
        raise RequestError(
            "id_is_owner",
            f"`{made.id}` is already the owner of `{owned[0].type}:{owned[0].id}`; clear that owner first",
            status=409,
        )


def revoked_keys(reader: FactReader, workspace: str, kind: PrincipalKind, principal_id: str, now: int) -> list[Effect]:
    """Effects that revoke every key of a principal that goes."""
    keys = reader.find(ApiKey, workspace=workspace, principal_kind=kind, principal_id=principal_id)
    return [
        put(msgspec.structs.replace(key, revoked_at=now, revoke_reason=PRINCIPAL_DELETED), key)
        for key in keys
        if key.revoked_at is None
    ]


def cleared_owner(reader: FactReader, workspace: str, principal_id: str) -> list[Effect]:
    """Effects that clear a principal that goes as the owner of resources."""
    owned = reader.find(Resource, workspace=workspace, owner=principal_id)
    return [put(msgspec.structs.replace(resource, owner=None), resource) for resource in owned]
