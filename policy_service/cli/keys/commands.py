"""`keys`: issue, list, show, inspect, rotate, revoke."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from policy_service.cli.keys.inspection import inspect_key
from policy_service.cli.shared.client import connect, segment
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.nouns import (
    Column,
    Id,
    add_get,
    ago,
    field,
    forced,
    instant,
    noun,
    pairs,
    show_done,
    show_list,
    to_the_second,
)
from policy_service.cli.shared.options import AsJson, DataDir, Force, Limit, Url, Workspace
from policy_service.model.errors import UsageError

app = noun("API keys: issue, list, show, inspect, rotate, revoke.")


def _principal(item: dict[str, Any]) -> str:
    return f"{item['principal']['kind']} {item['principal']['id']}"


def _old_secrets(item: dict[str, Any]) -> str | None:
    """How many superseded secrets still work, and until when."""
    ends = [secret["expires_at"] for secret in item["secrets"] if secret["status"] == "in_grace"]
    return f"{len(ends)}, until {to_the_second(max(ends))}" if ends else None


def _columns(now: int) -> tuple[Column, ...]:
    return (
        field("id"),
        ("acts as", _principal),
        field("scopes"),
        ("status", lambda item: item["status"].replace("_", " ")),
        ("age", lambda item: ago(item["created_at"], now)),
        ("last used", lambda item: ago(item["last_used_at"], now)),
        ("old secrets in use", _old_secrets),
        instant("expires_at"),
    )


_DETAILS = (
    field("id"),
    ("acts as", _principal),
    field("scopes"),
    ("status", lambda item: item["status"].replace("_", " ")),
    instant("created_at"),
    instant("not_before"),
    instant("expires_at"),
    instant("revoked_at"),
    field("revoke_reason"),
    instant("last_used_at"),
    ("old secrets in use", _old_secrets),
    field("cidrs"),
    ("labels", lambda item: [f"{name}={value}" for name, value in sorted((item.get("labels") or {}).items())]),
)

app.command("inspect")(inspect_key)
add_get(app, "keys", _DETAILS, "Show one key; never its secret.")


@app.command("list")
def list_keys(
    context: typer.Context,
    principal: Annotated[
        str | None, typer.Option("--principal", metavar="KIND:ID", help="Only keys of this one, such as user:ada.")
    ] = None,
    workspace: Workspace = None,
    limit: Limit = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List the keys of a workspace, revoked and expired ones too."""
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        answer = api.pages("keys", params={"principal": principal}, limit=limit)
        show_list(context.obj, answer, _columns(context.obj.environment.now()), as_json)


@app.command("create")
def create_key(
    context: typer.Context,
    scope: Annotated[list[str], typer.Option("--scope", metavar="SCOPE", help="Scope; may be repeated.")],
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="The user it acts as …")] = None,
    service: Annotated[str | None, typer.Option("--service", metavar="ID", help="… or the service principal.")] = None,
    expires_at: Annotated[str | None, typer.Option("--expires-at", metavar="RFC3339", help="Valid before.")] = None,
    not_before: Annotated[str | None, typer.Option("--not-before", metavar="RFC3339", help="Valid from.")] = None,
    cidr: Annotated[
        list[str] | None, typer.Option("--cidr", metavar="CIDR", help="Only from here; may be repeated.")
    ] = None,
    label: Annotated[list[str] | None, typer.Option("--label", metavar="NAME=VALUE", help="May be repeated.")] = None,
    workspace: Workspace = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Issue a key. It is printed once and cannot be shown again."""
    if (user is None) == (service is None):
        raise UsageError("usage", "a key acts as one principal; give `--user` or `--service`")
    given = {
        "principal": {"kind": "service" if user is None else "user", "id": service if user is None else user},
        "scopes": scope,
        "expires_at": expires_at,
        "not_before": not_before,
        "cidrs": cidr,
        "labels": pairs(label or (), "--label"),
    }
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        answer = api.call("POST", "keys", body={name: value for name, value in given.items() if value})
    _show_once(context.obj, answer, "created", as_json)


@app.command("rotate")
def rotate_key(
    context: typer.Context,
    key_id: Id,
    grace_s: Annotated[
        int, typer.Option("--grace-s", metavar="SECONDS", help="How long the secrets before still work.")
    ] = 0,
    workspace: Workspace = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Give a key a new secret.

    It is printed once. The key's id and all else stay.
    """
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        answer = api.call("POST", f"keys/{segment(key_id)}/rotate", body={"grace_s": grace_s})
    _show_once(context.obj, answer, "rotated", as_json)


def _show_once(session: Session, answer: dict[str, Any], done: str, as_json: bool) -> None:
    """Standard output is the key alone, so that it can go straight into a secret store."""
    if as_json:
        session.screen.json(answer)
        return
    session.screen.note(f"key {answer['data']['id']} {done} (revision {answer['revision']}); shown once:")
    session.screen.line(answer["data"]["key"])


@app.command("revoke")
def revoke_key(
    context: typer.Context,
    key_id: Id,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Kept with the key.")] = None,
    receipt: Annotated[
        Path | None, typer.Option("--receipt", metavar="FILE", help="Write the receipt of it here; keep it elsewhere.")
    ] = None,
    force: Force = False,
    workspace: Workspace = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """End a key for good, with every secret it has."""
    with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
        body = {} if reason is None else {"reason": reason}
        answer = api.call("POST", f"keys/{segment(key_id)}/revoke", params=forced(force), body=body)
    if receipt is not None:
        _keep(answer["data"]["receipt"], receipt)
    show_done(context.obj, answer, f"key {key_id} revoked", as_json)
    if receipt is not None:
        context.obj.screen.note(f"`ledger verify --revocation {receipt}` shows what was decided on it afterwards")


def _keep(receipt: dict[str, Any], file: Path) -> None:
    try:
        file.write_text(json.dumps(receipt, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or "output failed").lower()
        told = f"the key is revoked, but its receipt cannot be written to `{file}`: {reason}; revoke it again to get it"
        raise UsageError("unwritable", told) from None
