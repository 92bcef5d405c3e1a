"""`bindings`, `resources`, `allowlist`: what is granted, on what, and from where."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from policy_service.cli.shared.client import Api, connect, segment
from policy_service.cli.shared.nouns import (
    add_delete,
    add_get,
    field,
    kept,
    noun,
    pairs,
    show_done,
    show_list,
    show_one,
)
from policy_service.cli.shared.options import AsJson, DataDir, Limit, Url, Workspace
from policy_service.model.errors import UsageError
from policy_service.model.names import split_resource

bindings = noun("Role bindings: a role for a team or a user.")
resources = noun("Registered resources, with owner and attributes.")
allowlist = noun("The source addresses of a workspace.")


def resource_text(item: dict[str, Any]) -> str | None:
    """`type:id` of the resource that a binding is on."""
    resource = item.get("resource")
    return f"{resource['type']}:{resource['id']}" if isinstance(resource, dict) else resource


def _holder(item: dict[str, Any]) -> str:
    return f"team {item['team']}" if item.get("team") else f"user {item.get('user')}"


_BINDING = (field("id"), field("role"), ("for", _holder), ("on", lambda item: resource_text(item) or "the workspace"))
_RESOURCE = (
    field("type"),
    field("id"),
    field("owner"),
    ("attributes", lambda item: json.dumps(item.get("attributes") or {}, ensure_ascii=False, sort_keys=True)),
)
_ENTRY = (field("cidr"), field("label"))
Resource = Annotated[str, typer.Argument(metavar="TYPE:ID", show_default=False)]

add_get(bindings, "role-bindings", _BINDING, "Show one role binding.")
add_delete(bindings, "role-bindings", "role binding {} deleted", "Delete a role binding.")


@bindings.command("list")
def list_bindings(
    context: typer.Context,
    team: Annotated[str | None, typer.Option("--team", metavar="TEAM", help="Only those of this team.")] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="USER", help="Only those of this user.")] = None,
    workspace: Workspace = None,
    limit: Limit = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List the role bindings of a workspace."""
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        answer = api.pages("role-bindings", params={"team": team, "user": user}, limit=limit)
        show_list(context.obj, answer, _BINDING, as_json)


@bindings.command("create")
def create_binding(
    context: typer.Context,
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="Role of the active policy.")],
    team: Annotated[str | None, typer.Option("--team", metavar="TEAM", help="Who gets it …")] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="USER", help="… one of the two.")] = None,
    resource: Annotated[
        str | None, typer.Option("--resource", metavar="TYPE:ID", help="Only on this resource.")
    ] = None,
    workspace: Workspace = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Give a role to a team or a user."""
    body = {"role": role, "team": team, "user": user, "resource": resource}
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        answer = api.call("POST", "role-bindings", body={name: value for name, value in body.items() if value})
        show_done(context.obj, answer, f"role binding {answer['data']['id']} created", as_json)


@resources.command("list")
def list_resources(
    context: typer.Context,
    kind: Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only those of this type.")] = None,
    workspace: Workspace = None,
    limit: Limit = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List the registered resources of a workspace."""
    path = "resources" if kind is None else f"resources/{segment(kind)}"
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        show_list(context.obj, api.pages(path, limit=limit), _RESOURCE, as_json)


@resources.command("get")
def get_resource(
    context: typer.Context,
    resource: Resource,
    workspace: Workspace = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show one registered resource."""
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        show_one(context.obj, api.call("GET", _path(resource)), _RESOURCE, as_json)


@resources.command("put")
def put_resource(
    context: typer.Context,
    resource: Resource,
    owner: Annotated[
        str | None, typer.Option("--owner", metavar="ID", help='Owner, "" for none. Not given: as it is.')
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            "--attr", metavar="NAME=JSON", help="All attributes, one by one; a value that is no JSON is text."
        ),
    ] = None,
    clear: Annotated[bool, typer.Option("--no-attrs", help="Take all attributes away.")] = False,
    workspace: Workspace = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Register a resource, or change one.

    Attributes stay as they are unless one is given; then those given are all there are.
    """
    path = _path(resource)
    attributes = {} if clear else {n: _json_value(v) for n, v in pairs(attribute or (), "--attr").items()} or None
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        answer = api.call("PUT", path, body=kept(api, path, {"owner": owner, "attributes": attributes}))
        show_done(context.obj, answer, f"resource {resource} saved", as_json)


@resources.command("delete")
def delete_resource(
    context: typer.Context,
    resource: Resource,
    workspace: Workspace = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Delete a resource with the role bindings on it."""
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        answer = api.call("DELETE", _path(resource))
        show_done(context.obj, answer, f"resource {resource} deleted, with the bindings on it", as_json)


def _path(resource: str) -> str:
    parts = split_resource(resource)
    if parts is None:
        raise UsageError("usage", f"`{resource}` is not a resource; write type:id, such as pipeline:etl-42")
    return f"resources/{segment(parts[0])}/{segment(parts[1])}"


def _json_value(text: str) -> Any:
    """`true`, `3`, `["a"]` as JSON says; anything else is text. Quote a number that is meant as text: `"3"`."""
    try:
        return json.loads(text)
    except ValueError:
        return text


@allowlist.command("get")
def get_allowlist(
    context: typer.Context,
    workspace: Workspace = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show the allowlist."""
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        answer = api.call("GET", "ip-allowlist")
    if as_json:
        context.obj.screen.json(answer)
        return
    context.obj.screen.line(_state(answer["data"]))
    if answer["data"]["entries"]:
        show_list(context.obj, {"data": answer["data"]["entries"]}, _ENTRY, as_json)


def _state(data: dict[str, Any]) -> str:
    if not data["enabled"]:
        return "off: no address is refused"
    return "on" if data["entries"] else "on and empty: every address is refused"


@allowlist.command("put")
def put_allowlist(
    context: typer.Context,
    enabled: Annotated[bool | None, typer.Option("--on/--off", help="Not given: as it is.")] = None,
    cidr: Annotated[
        list[str] | None,
        typer.Option("--cidr", metavar="CIDR[=LABEL]", help="The whole list, one by one. Not given: as it is."),
    ] = None,
    workspace: Workspace = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Switch the allowlist on or off, or replace its entries."""
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        data = _allowlist(api)
        entries = data["entries"] if cidr is None else [_entry(text) for text in cidr]
        _save(context, api, data["enabled"] if enabled is None else enabled, entries, as_json)


@allowlist.command("add")
def add_entry(
    context: typer.Context,
    cidr: Annotated[str, typer.Argument(metavar="CIDR", show_default=False)],
    label: Annotated[str, typer.Option("--label", metavar="TEXT", help="For people.")] = "",
    workspace: Workspace = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Add one network; whether the list is on stays as it is."""
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        data = _allowlist(api)
        _save(context, api, data["enabled"], [*data["entries"], {"cidr": cidr, "label": label}], as_json)


@allowlist.command("remove")
def remove_entry(
    context: typer.Context,
    cidr: Annotated[str, typer.Argument(metavar="CIDR", show_default=False)],
    workspace: Workspace = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Take one network away, spelled as `get` shows it."""
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        data = _allowlist(api)
        entries = [entry for entry in data["entries"] if entry["cidr"] != cidr]
        if len(entries) == len(data["entries"]):
            raise UsageError("not_found", f"`{cidr}` is not on the list; `allowlist get` shows it")
        _save(context, api, data["enabled"], entries, as_json)


def _allowlist(api: Api) -> dict[str, Any]:
    data: dict[str, Any] = api.call("GET", "ip-allowlist")["data"]
    return data


def _entry(text: str) -> dict[str, str]:
    cidr, _, label = text.partition("=")
    return {"cidr": cidr, "label": label}


def _save(context: typer.Context, api: Api, enabled: bool, entries: list[dict[str, str]], as_json: bool) -> None:
    answer = api.call("PUT", "ip-allowlist", body={"enabled": enabled, "entries": entries})
    count = len(answer["data"]["entries"])
    sentence = f"allowlist saved: {_state(answer['data'])}, {count} {'entry' if count == 1 else 'entries'}"
    show_done(context.obj, answer, sentence, as_json)
