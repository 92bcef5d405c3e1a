"""`workspaces`: the operator's noun."""

from __future__ import annotations

from typing import Annotated

import typer

from policy_service.cli.shared.client import connect, segment
from policy_service.cli.shared.nouns import Id, field, instant, noun, show_done, show_list, show_one
from policy_service.cli.shared.options import AsJson, DataDir, Limit, Url

app = noun("Tenants (the operator's to make).")

_WORKSPACE = (field("id"), field("name"), instant("created_at"))


@app.command("list")
def list_workspaces(
    context: typer.Context,
    limit: Limit = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List all workspaces."""
    with connect(context.obj, data_dir=data_dir, url=url, workspace=None, of_workspace=False) as api:
        show_list(context.obj, api.pages("workspaces", limit=limit), _WORKSPACE, as_json)


@app.command("get")
def get_workspace(
    context: typer.Context, workspace_id: Id, data_dir: DataDir = None, url: Url = None, as_json: AsJson = False
) -> None:
    """Show a workspace: any for the operator, else one's own."""
    with connect(context.obj, data_dir=data_dir, url=url, workspace=None, of_workspace=False) as api:
        show_one(context.obj, api.call("GET", f"workspaces/{segment(workspace_id)}"), _WORKSPACE, as_json)


@app.command("create")
def create_workspace(
    context: typer.Context,
    workspace_id: Id,
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="For people.")] = "",
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make a workspace."""
    with connect(context.obj, data_dir=data_dir, url=url, workspace=None, of_workspace=False) as api:
        answer = api.call("POST", "workspaces", body={"id": workspace_id, "name": name})
        show_done(context.obj, answer, f"workspace {workspace_id} created", as_json)
