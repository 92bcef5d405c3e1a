"""The table of `/v1`: every administrative route, what it takes and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel

from policy_service.api import bodies, record_shapes, shapes, v1_access, v1_bundles, v1_changes, v1_decisions, v1_people
from policy_service.api.endpoints import FORCE, KEY_KEEPERS, LISTING, Call, Endpoint, Outcome
from policy_service.api.shapes import Envelope
from policy_service.api.v1_changes import FILTERS
from policy_service.model.facts import (
    ApiKey,
    Fact,
    IpAllowlist,
    Membership,
    Resource,
    RoleBinding,
    ServicePrincipal,
    Team,
    User,
    Workspace,
)
from policy_service.model.names import DECISIONS_READ

Work = Callable[[Call], Outcome]


_SUBJECTS: Final[dict[str, type[Fact]]] = {
    "workspaces/{id}": Workspace,
    "users/{id}": User,
    "service-principals/{id}": ServicePrincipal,
    "teams/{id}": Team,
    "teams/{id}/members/{user}": Membership,
    "resources/{type}/{id:path}": Resource,
    "role-bindings/{id}": RoleBinding,
    "ip-allowlist": IpAllowlist,
    "keys/{id}": ApiKey,
    "keys/{id}/revoke": ApiKey,
    "keys/{id}/rotate": ApiKey,
}
"""The kind of the fact that a path names: what `ETag` and `If-Match` are about."""


def _route(method: str, path: str, work: Work, shape: Any, summary: str, **more: Any) -> Endpoint:
    tag = path.split("/", 1)[0].replace("-", " ")
    return Endpoint(
        method=method,
        path=f"/v1/{path}",
        name=work.__name__,
        tag=tag,
        summary=summary,
        work=work,
        data=shape,
        subject=_SUBJECTS.get(path),
        **more,
    )


def _show(path: str, work: Work, shape: Any, summary: str, **more: Any) -> Endpoint:
    return _route("GET", path, work, Envelope[shape], summary, problems=(404,), **more)


def _list(path: str, work: Work, shape: Any, summary: str, query: tuple[str, ...] = (), **more: Any) -> Endpoint:
    return _route("GET", path, work, Envelope[list[shape]], summary, problems=(404,), query=(*LISTING, *query), **more)


def _put(path: str, work: Work, shape: Any, summary: str, body: type[BaseModel], **more: Any) -> Endpoint:
    answers = {"statuses": (200, 201), "problems": (404, 409)}
    return _route("PUT", path, work, Envelope[shape], summary, body=body, **answers, **more)


def _post(path: str, work: Work, shape: Any, summary: str, body: type[BaseModel], **more: Any) -> Endpoint:
    return _route("POST", path, work, Envelope[shape], summary, body=body, problems=(404, 409), **more)


def _delete(path: str, work: Work, summary: str, query: tuple[str, ...] = FORCE) -> Endpoint:
    return _route("DELETE", path, work, Envelope[None], summary, problems=(404, 409), query=query)


_P: Final = v1_people
_A: Final = v1_access
_B: Final = v1_bundles
_S: Final = shapes

ENDPOINTS: Final = (
    _post(
        "workspaces",
        _P.create_workspace,
        _S.WorkspaceShape,
        "Make a workspace (operator).",
        bodies.WorkspaceBody,
        statuses=(201,),
        takes_workspace=False,
    ),
    _list("workspaces", _P.list_workspaces, _S.WorkspaceShape, "List workspaces (operator).", takes_workspace=False),
    _show("workspaces/{id}", _P.show_workspace, _S.WorkspaceShape, "Show a workspace.", takes_workspace=False),
    _put("users/{id}", _P.put_user, _S.UserShape, "Make or replace a user.", bodies.UserBody, query=FORCE),
    _show("users/{id}", _P.show_user, _S.UserShape, "Show a user."),
    _list("users", _P.list_users, _S.UserShape, "List users."),
    _delete("users/{id}", _P.delete_user, "Delete a user for good; their keys are revoked."),
    _put(
        "service-principals/{id}",
        _P.put_service_principal,
        _S.ServicePrincipalShape,
        "Make or replace a service principal.",
        bodies.ServicePrincipalBody,
    ),
    _show("service-principals/{id}", _P.show_service_principal, _S.ServicePrincipalShape, "Show a service principal."),
    _list("service-principals", _P.list_service_principals, _S.ServicePrincipalShape, "List service principals."),
    _delete(
        "service-principals/{id}",
        _P.delete_service_principal,
        "Delete a service principal for good; its keys are revoked.",
    ),
    _put("teams/{id}", _P.put_team, _S.TeamShape, "Make or replace a team.", bodies.TeamBody, query=FORCE),
    _show("teams/{id}", _P.show_team, _S.TeamShape, "Show a team."),
    _list("teams", _P.list_teams, _S.TeamShape, "List teams."),
    _delete("teams/{id}", _P.delete_team, "Delete a team; its memberships and bindings go, its children become roots."),
    _put(
        "teams/{id}/members/{user}",
        _P.add_member,
        _S.MembershipShape,
        "Make a user a member.",
        bodies.EmptyBody,
        body_required=False,
    ),
    _show("teams/{id}/members/{user}", _P.show_member, _S.MembershipShape, "Show a direct membership."),
    _list("teams/{id}/members", _P.list_members, _S.MembershipShape, "List the direct members."),
    _delete("teams/{id}/members/{user}", _P.remove_member, "End a membership."),
    _put(
        "resources/{type}/{id:path}",
        _A.put_resource,
        _S.ResourceShape,
        "Register or replace a resource.",
        bodies.ResourceBody,
    ),
    _show("resources/{type}/{id:path}", _A.show_resource, _S.ResourceShape, "Show a registered resource."),
    _list("resources/{type}", _A.list_resources_of_type, _S.ResourceShape, "List registered resources of one type."),
    _list("resources", _A.list_resources, _S.ResourceShape, "List registered resources."),
    _delete("resources/{type}/{id:path}", _A.delete_resource, "Delete a resource and the bindings on it.", query=()),
    _post(
        "role-bindings",
        _A.create_role_binding,
        _S.RoleBindingShape,
        "Bind a role to a team or a user, over the workspace or over one resource.",
        bodies.RoleBindingBody,
        statuses=(201,),
    ),
    _show("role-bindings/{id}", _A.show_role_binding, _S.RoleBindingShape, "Show a role binding."),
    _list("role-bindings", _A.list_role_bindings, _S.RoleBindingShape, "List role bindings.", ("team", "user")),
    _delete("role-bindings/{id}", _A.delete_role_binding, "Delete a role binding."),
    _put("ip-allowlist", _A.put_allowlist, _S.AllowlistShape, "Replace the allowlist.", bodies.AllowlistBody),
    _show("ip-allowlist", _A.show_allowlist, _S.AllowlistShape, "Show the allowlist."),
    _post(
        "keys",
        _A.create_key,
        _S.NewKeyShape,
        "Make a key; `data.key` is shown this once.",
        bodies.KeyBody,
        statuses=(201,),
        scope=KEY_KEEPERS,
    ),
    _show("keys/{id}", _A.show_key, _S.KeyShape, "Show a key, without its text.", scope=KEY_KEEPERS),
    _list(
        "keys",
        _A.list_keys,
        _S.KeyShape,
        "List keys, revoked and expired ones too.",
        ("principal",),
        scope=KEY_KEEPERS,
    ),
    _post(
        "keys/{id}/rotate",
        _A.rotate_key,
        _S.NewKeyShape,
        "Give a key a new secret; `data.key` is shown this once.",
        bodies.RotateBody,
        body_required=False,
        statuses=(201,),
        scope=KEY_KEEPERS,
    ),
    _post(
        "keys/{id}/revoke",
        _A.revoke_key,
        _S.RevokedKeyShape,
        "End every secret of a key for good.",
        bodies.RevokeBody,
        body_required=False,
        statuses=(201, 200),
        query=FORCE,
        scope=KEY_KEEPERS,
    ),
    _list("changes", v1_changes.list_changes, _S.ChangeShape, "List changes: who did what, when.", FILTERS),
    _list(
        "decisions",
        v1_decisions.list_decisions,
        record_shapes.RecordShape,
        "List what was decided, newest first.",
        v1_decisions.FILTERS,
        scope=DECISIONS_READ,
    ),
    _show("changes/{revision}", v1_changes.show_change, _S.ChangeShape, "Show a change."),
    _post(
        "bundles",
        _B.publish_bundle,
        _S.PublishedShape,
        "Publish rule files under the digest of their meaning; they decide nothing yet (operator).",
        bodies.BundleBody,
        statuses=(200, 201),
        takes_workspace=False,
        exempt=v1_bundles.FILE_TEXTS,
        limit=v1_bundles.FILES_LIMIT,
        is_slow=True,
    ),
    _post(
        "bundles/{digest}/activate",
        _B.activate_bundle,
        _S.ActiveShape,
        "Let a published bundle decide (operator).",
        bodies.ActivateBody,
        body_required=False,
        query=FORCE,
        takes_workspace=False,
        is_slow=True,
    ),
    _show(
        "active-bundle",
        _B.show_active_bundle,
        _S.BundleShape,
        "Show the bundle that decides, with its files (operator).",
        takes_workspace=False,
    ),
    _post(
        "shadow",
        _B.start_shadow,
        _S.ActiveShape,
        "Decide by a published bundle beside the active one, to compare (operator).",
        bodies.ShadowBody,
        statuses=(200, 201),
        takes_workspace=False,
        is_slow=True,
    ),
    _show("shadow", _B.show_shadow, _S.ShadowShape, "Show what the bundle in shadow changes.", takes_workspace=False),
    _route(
        "DELETE", "shadow", _B.end_shadow, Envelope[None], "Decide by the active bundle alone.", takes_workspace=False
    ),
    _show(
        "bundles/{digest}",
        _B.show_bundle,
        _S.BundleShape,
        "Show a published bundle with its files.",
        takes_workspace=False,
    ),
)
"""In no order that matters: no two rows match the same method and path, but `{id:path}` takes what is left."""
