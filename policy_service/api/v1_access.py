"""`/v1`: resources, role bindings, the allowlist and keys."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from policy_service.api.bodies import KeyBody, ResourceName
from policy_service.api.documents import key_document
from policy_service.api.endpoints import Call, Outcome, found, listed, written
from policy_service.api.validation import mistake, refusal
from policy_service.model.errors import RequestError
from policy_service.model.facts import AllowlistEntry, ApiKey, PrincipalKind
from policy_service.model.instants import parse_rfc3339
from policy_service.model.names import split_resource
from policy_service.service.administration import IssuedKey, NewKey
from policy_service.service.preconditions import fact_tag


def put_resource(call: Call) -> Outcome:
    """Registers or replaces."""
    kind, name, body = call.path["type"], call.path["id"], call.body
    return written(
        call.administration.put_resource(
            call.caller, call.workspace, kind, name, owner=body.owner, attributes=body.attributes
        )
    )


def show_resource(call: Call) -> Outcome:
    """One registered resource."""
    return found(call.administration.get_resource(call.caller, call.workspace, call.path["type"], call.path["id"]))


def list_resources(call: Call) -> Outcome:
    """By type and id."""
    return listed(call.administration.list_resources(call.caller, call.workspace, **call.paging()))


def list_resources_of_type(call: Call) -> Outcome:
    """By id."""
    kind = call.path["type"]
    return listed(call.administration.list_resources(call.caller, call.workspace, type=kind, **call.paging()))


def delete_resource(call: Call) -> Outcome:
    """The bindings on it go with it."""
    return written(call.administration.delete_resource(call.caller, call.workspace, call.path["type"], call.path["id"]))


def create_role_binding(call: Call) -> Outcome:
    """Exactly one of team and user."""
    body = call.body
    return written(
        call.administration.create_binding(
            call.caller, call.workspace, body.role, team=body.team, user=body.user, resource=_bound(body.resource)
        )
    )


def _bound(resource: str | ResourceName | None) -> tuple[str, str] | None:
    if isinstance(resource, str):
        return split_resource(resource)
    return None if resource is None else (resource.type, resource.id)


def show_role_binding(call: Call) -> Outcome:
    """One role binding."""
    return found(call.administration.get_binding(call.caller, call.workspace, call.path["id"]))


def list_role_bindings(call: Call) -> Outcome:
    """Those of one team or user where the query names it."""
    team, user = call.query.get("team"), call.query.get("user")
    return listed(call.administration.list_bindings(call.caller, call.workspace, team=team, user=user, **call.paging()))


def delete_role_binding(call: Call) -> Outcome:
    """Holds from the next decision on this worker."""
    name = call.path["id"]
    return written(call.administration.delete_binding(call.caller, call.workspace, name, force=call.force()))


def put_allowlist(call: Call) -> Outcome:
    """Replaces it whole."""
    entries = tuple(AllowlistEntry(cidr=entry.cidr, label=entry.label) for entry in call.body.entries)
    return written(
        call.administration.put_allowlist(call.caller, call.workspace, enabled=call.body.enabled, entries=entries)
    )


def show_allowlist(call: Call) -> Outcome:
    """Off and empty where none was ever put."""
    return found(call.administration.get_allowlist(call.caller, call.workspace))


def create_key(call: Call) -> Outcome:
    """The answer is the only one that ever shows the key's text."""
    return _issued(call, call.administration.create_key(call.caller, call.workspace, _new_key(call.body)))


def rotate_key(call: Call) -> Outcome:
    """The same: the new text is in this answer and nowhere else."""
    key_id, grace_s = call.path["id"], call.body.grace_s
    return _issued(call, call.administration.rotate_key(call.caller, call.workspace, key_id, grace_s=grace_s))


def _issued(call: Call, issued: IssuedKey) -> Outcome:
    data = {**_shown(call, issued.api_key), "key": issued.text}
    return Outcome(data, issued.written.revision, created=True, changed=True, tag=fact_tag(issued.api_key))


def _new_key(body: KeyBody) -> NewKey:
    return NewKey(
        principal_kind=body.principal.kind,
        principal_id=body.principal.id,
        scopes=body.scopes,
        not_before=_instant("not_before", body.not_before),
        expires_at=_instant("expires_at", body.expires_at),
        cidrs=body.cidrs,
        labels=body.labels,
    )


def _instant(member: str, text: str | None) -> int | None:
    if text is None:
        return None
    instant = parse_rfc3339(text)
    if instant is None:
        told = f"`$.{member}` must be an instant such as `2027-01-01T00:00:00Z`"
        raise refusal([mistake("invalid_value", (member,), told)])
    return instant


def show_key(call: Call) -> Outcome:
    """Without its text."""
    result = call.administration.get_key(call.caller, call.workspace, call.path["id"])
    return Outcome(_shown(call, result.fact), result.revision, tag=fact_tag(result.fact))


def _shown(call: Call, key: ApiKey) -> dict[str, Any]:
    return key_document(call.administration.seen([key])[0])


def list_keys(call: Call) -> Outcome:
    """Revoked and expired ones too; those of one principal where the query names it as `kind:id`."""
    principal = _principal(call.query.get("principal"))
    page = call.administration.list_keys(call.caller, call.workspace, principal=principal, **call.paging())
    keys = [key_document(seen) for seen in call.administration.seen(page.items)]
    return Outcome(keys, page.revision, page.next_cursor)


def _principal(text: str | None) -> tuple[PrincipalKind, str] | None:
    if text is None:
        return None
    kind, colon, name = text.partition(":")
    if not colon or kind not in ("user", "service"):
        raise RequestError("invalid_parameter", "`?principal`: must be `user:<id>` or `service:<id>`")
    return cast("PrincipalKind", kind), name


def revoke_key(call: Call) -> Outcome:
    """Ends every secret of the key for good."""
    key_id, reason = call.path["id"], call.body.reason or ""
    result = call.administration.revoke_key(call.caller, call.workspace, key_id, reason=reason, force=call.force())
    assert result.fact is not None  # a revocation always leaves its key
    receipt = call.administration.receipt(result.fact)
    data = {**_shown(call, result.fact), "receipt": None if receipt is None else msgspec.to_builtins(receipt)}
    # 201 as every POST: a receipt is made. 200 where the key was revoked already, as every write that changes nothing.
    is_new = result.change is not None
    return Outcome(data, result.revision, created=is_new, changed=True, tag=fact_tag(result.fact))
