"""`/v1`: workspaces, users, service principals, teams and their members."""

from __future__ import annotations

from policy_service.api.endpoints import Call, Outcome, found, listed, written


def create_workspace(call: Call) -> Outcome:
    """The operator's alone."""
    return written(call.administration.create_workspace(call.caller, call.body.id, name=call.body.name))


def list_workspaces(call: Call) -> Outcome:
    """The operator's alone."""
    return listed(call.administration.list_workspaces(call.caller, **call.paging()))


def show_workspace(call: Call) -> Outcome:
    """One's own, or any for the operator."""
    return found(call.administration.get_workspace(call.caller, call.path["id"]))


def put_user(call: Call) -> Outcome:
    """Makes or replaces."""
    body = call.body
    return written(
        call.administration.put_user(
            call.caller, call.workspace, call.path["id"], name=body.name, suspended=body.suspended, force=call.force()
        )
    )


def show_user(call: Call) -> Outcome:
    """One user."""
    return found(call.administration.get_user(call.caller, call.workspace, call.path["id"]))


def list_users(call: Call) -> Outcome:
    """By id."""
    return listed(call.administration.list_users(call.caller, call.workspace, **call.paging()))


def delete_user(call: Call) -> Outcome:
    """For good."""
    return written(call.administration.delete_user(call.caller, call.workspace, call.path["id"], force=call.force()))


def put_service_principal(call: Call) -> Outcome:
    """Makes or replaces."""
    return written(
        call.administration.put_service_principal(call.caller, call.workspace, call.path["id"], name=call.body.name)
    )


def show_service_principal(call: Call) -> Outcome:
    """One service principal."""
    return found(call.administration.get_service_principal(call.caller, call.workspace, call.path["id"]))


def list_service_principals(call: Call) -> Outcome:
    """By id."""
    return listed(call.administration.list_service_principals(call.caller, call.workspace, **call.paging()))


def delete_service_principal(call: Call) -> Outcome:
    """For good."""
    name = call.path["id"]
    return written(call.administration.delete_service_principal(call.caller, call.workspace, name, force=call.force()))


def put_team(call: Call) -> Outcome:
    """Makes or replaces."""
    body = call.body
    return written(
        call.administration.put_team(
            call.caller, call.workspace, call.path["id"], name=body.name, parent=body.parent, force=call.force()
        )
    )


def show_team(call: Call) -> Outcome:
    """One team."""
    return found(call.administration.get_team(call.caller, call.workspace, call.path["id"]))


def list_teams(call: Call) -> Outcome:
    """By id."""
    return listed(call.administration.list_teams(call.caller, call.workspace, **call.paging()))


def delete_team(call: Call) -> Outcome:
    """Its memberships and bindings go with it."""
    return written(call.administration.delete_team(call.caller, call.workspace, call.path["id"], force=call.force()))


def add_member(call: Call) -> Outcome:
    """Idempotent."""
    return written(call.administration.add_member(call.caller, call.workspace, call.path["id"], call.path["user"]))


def show_member(call: Call) -> Outcome:
    """One direct membership."""
    return found(call.administration.get_member(call.caller, call.workspace, call.path["id"], call.path["user"]))


def list_members(call: Call) -> Outcome:
    """The direct ones."""
    return listed(call.administration.list_members(call.caller, call.workspace, call.path["id"], **call.paging()))


def remove_member(call: Call) -> Outcome:
    """Holds from the next decision on this worker."""
    team, user = call.path["id"], call.path["user"]
    return written(call.administration.remove_member(call.caller, call.workspace, team, user, force=call.force()))
