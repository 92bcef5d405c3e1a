"""`policy activate|history|rollback`: which bundle decides, and which one did."""

from __future__ import annotations

from typing import Annotated

import typer

from policy_service.cli.policy.changes import change_of_policy, show_change_of_policy
from policy_service.cli.policy.folder import chosen_folder
from policy_service.cli.policy.options import PolicyFolder
from policy_service.cli.policy.store import activations, publish, short, switch, whole_digest
from policy_service.cli.shared.client import Api, connect
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.nouns import instant, show_list
from policy_service.cli.shared.options import AsJson, DataDir, Force, Limit, Url
from policy_service.language.load import load_policy
from policy_service.model.errors import UsageError
from policy_service.service.policies.policy_folder import read_folder

Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why; stands in the changes.")]


def activate(
    context: typer.Context,
    folder: PolicyFolder = None,
    note: Note = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    force: Force = False,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Let the rule files of a folder decide.

    They are published, then activated. Exit code 1 if they have mistakes; then nothing changes.
    """
    session: Session = context.obj
    files = read_folder(chosen_folder(folder))
    policy = load_policy(files)
    with connect(session, data_dir=data_dir, url=url, workspace=None, of_workspace=False) as api:
        changed = change_of_policy(api.find("active-bundle"), files, policy)
        if dry_run:
            show_change_of_policy(session.screen, changed, as_json=as_json)
            return
        digest = publish(api, files, note)
        answer = switch(api, digest, note, force)
    if as_json:
        session.screen.json({**changed, "revision": answer["revision"]})
    elif changed["before"] == digest:
        session.screen.line(f"{short(digest)} is active already (revision {answer['revision']})")
    else:
        session.screen.line(f"{short(digest)} decides (revision {answer['revision']})")


def history(
    context: typer.Context, limit: Limit = None, data_dir: DataDir = None, url: Url = None, as_json: AsJson = False
) -> None:
    """List which bundles were activated: when, by whom, why."""
    session: Session = context.obj
    with connect(session, data_dir=data_dir, url=url, workspace=None, of_workspace=False) as api:
        answer = activations(api, limit)
    columns = (
        ("revision", lambda item: item["revision"]),
        instant("at"),
        ("actor", lambda item: item["actor"]),
        ("bundle", lambda item: short(item["digest"])),
        ("note", lambda item: item["note"]),
    )
    show_list(session, answer, columns, as_json)


def rollback(
    context: typer.Context,
    digest: Annotated[
        str | None, typer.Argument(metavar="[DIGEST]", help="Or its beginning. [default: the one before]")
    ] = None,
    note: Note = "",
    force: Force = False,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Let the bundle decide that did before, or any other."""
    session: Session = context.obj
    with connect(session, data_dir=data_dir, url=url, workspace=None, of_workspace=False) as api:
        target = _one_before(api) if digest is None else whole_digest(api, digest)
        answer = switch(api, target, note or "rollback", force)
    if as_json:
        session.screen.json(answer)
    else:
        session.screen.line(f"{short(target)} decides again (revision {answer['revision']})")


def _one_before(api: Api) -> str:
    last = activations(api, 1)["data"]
    if not last or last[0]["previous"] is None:
        raise UsageError("no_previous", "no bundle was active before this one; name a digest, see `policy history`")
    return str(last[0]["previous"])
