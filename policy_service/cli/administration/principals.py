"""`users`, `service-principals`, `teams`, `members`: who keys act as, and how they are grouped."""

from __future__ import annotations

from typing import Annotated

import typer

from policy_service.cli.shared.client import connect, segment
from policy_service.cli.shared.nouns import (
    Id,
    Name,
    add_delete,
    add_get,
    add_list,
    field,
    forced,
    kept,
    noun,
    show_done,
    show_list,
)
from policy_service.cli.shared.options import AsJson, DataDir, Force, Limit, Url, Workspace

users = noun("People. Their keys inherit what their teams and bindings grant.")
service_principals = noun("Programs. Their keys have just their own scopes.")
teams = noun("Groups of users. They nest.")
members = noun("Which users are in which team.")

_USER = (field("id"), field("name"), field("suspended"))
_SERVICE = (field("id"), field("name"))
_TEAM = (field("id"), field("name"), field("parent"))
Team = Annotated[str, typer.Argument(metavar="TEAM", show_default=False)]
User = Annotated[str, typer.Argument(metavar="USER", show_default=False)]
Parent = Annotated[
    str | None, typer.Option("--parent", metavar="TEAM", help='Parent team, "" for none. Not given: as it is.')
]
Suspended = Annotated[
    bool | None,
    typer.Option("--suspended/--active", help="Suspended: every key of theirs is refused. Not given: as it is."),
]

add_list(users, "users", _USER, "List the users of a workspace.")
add_get(users, "users", _USER, "Show one user.")
add_delete(
    users,
    "users",
    "user {} deleted, with their keys, memberships and bindings",
    "Delete a user for good, and revoke their keys.",
)
add_list(service_principals, "service-principals", _SERVICE, "List the service principals of a workspace.")
add_get(service_principals, "service-principals", _SERVICE, "Show one service principal.")
add_delete(
    service_principals,
    "service-principals",
    "service principal {} deleted, with its keys",
    "Delete a service principal, and revoke its keys.",
)
add_list(teams, "teams", _TEAM, "List the teams of a workspace.")
add_get(teams, "teams", _TEAM, "Show one team.")
add_delete(
    teams,
    "teams",
    "team {} deleted, with its memberships and bindings",
    "Delete a team with its memberships and bindings.",
)


@users.command("put")
def put_user(
    context: typer.Context,
    user_id: Id,
    name: Name = None,
    suspended: Suspended = None,
    force: Force = False,
    workspace: Workspace = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make a user, or change one."""
    path = f"users/{segment(user_id)}"
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        body = kept(api, path, {"name": name, "suspended": suspended})
        answer = api.call("PUT", path, params=forced(force), body=body)
        state = ", suspended" if answer["data"].get("suspended") else ""
        show_done(context.obj, answer, f"user {user_id} saved{state}", as_json)


@service_principals.command("put")
def put_service(
    context: typer.Context,
    service_id: Id,
    name: Name = None,
    workspace: Workspace = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make a service principal, or rename one."""
    path = f"service-principals/{segment(service_id)}"
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        answer = api.call("PUT", path, body=kept(api, path, {"name": name}))
        show_done(context.obj, answer, f"service principal {service_id} saved", as_json)


@teams.command("put")
def put_team(
    context: typer.Context,
    team_id: Id,
    name: Name = None,
    parent: Parent = None,
    force: Force = False,
    workspace: Workspace = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make a team, or change one."""
    path = f"teams/{segment(team_id)}"
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        body = kept(api, path, {"name": name, "parent": parent})
        answer = api.call("PUT", path, params=forced(force), body=body)
        show_done(context.obj, answer, f"team {team_id} saved", as_json)


@members.command("list")
def list_members(
    context: typer.Context,
    team: Team,
    workspace: Workspace = None,
    limit: Limit = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List the direct members of a team."""
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        answer = api.pages(f"teams/{segment(team)}/members", limit=limit)
        show_list(context.obj, answer, (field("team"), field("user")), as_json)


@members.command("add")
def add_member(
    context: typer.Context,
    team: Team,
    user: User,
    workspace: Workspace = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Put a user into a team."""
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        answer = api.call("PUT", f"teams/{segment(team)}/members/{segment(user)}")
        show_done(context.obj, answer, f"{user} is in team {team}", as_json)


@members.command("remove")
def remove_member(
    context: typer.Context,
    team: Team,
    user: User,
    force: Force = False,
    workspace: Workspace = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Take a user out of a team."""
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        answer = api.call("DELETE", f"teams/{segment(team)}/members/{segment(user)}", params=forced(force))
        show_done(context.obj, answer, f"{user} is no longer in team {team}", as_json)
