"""`workspaces` and `changes`: the operator's nouns."""

from __future__ import annotations

import re
from typing import Annotated, Final

import typer

from policy_service.cli.client import connect
from policy_service.cli.nouns import Id, field, instant, noun, show_done, show_list
from policy_service.cli.options import AsJson, DataDir, Limit, Url, Workspace

DIGEST: Final = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")
"""Shortened in tables: JSON has them whole."""

app = noun("Tenants (the operator's to make).")
changes = noun("Who changed what, when.")

_WORKSPACE = (field("id"), field("name"), instant("created_at"))
_CHANGE = (
    field("revision"),
    instant("at"),
    field("actor"),
    field("action"),
    field("workspace"),
    ("subject", lambda item: DIGEST.sub(r"\1…", item["subject"])),
    field("note"),
)


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


@changes.command("list")
def list_changes(
    context: typer.Context,
    workspace: Workspace = None,
    limit: Limit = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List the changes, oldest first.

    Of one workspace, or of all for the operator.
    """
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace, of_workspace=False) as api:
        show_list(context.obj, api.pages("changes", limit=limit), _CHANGE, as_json)
