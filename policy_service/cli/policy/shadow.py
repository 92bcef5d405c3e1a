"""`policy shadow`: a candidate decided beside the active policy, and what it would change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from policy_service.cli.policy.store import publish, short
from policy_service.cli.shared.client import Api, connect
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.options import AsJson, DataDir, Url
from policy_service.cli.shared.screen import Screen
from policy_service.language.load import load_policy
from policy_service.model.errors import UsageError
from policy_service.service.policies.policy_folder import read_folder


def shadow(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Rule files to compare. [default: show the comparison]")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="End the comparison.")] = False,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Why; stands in the changes.")] = "",
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Compare other rule files on real requests.

    They are decided beside the active ones and never answered. Without DIR: what they would have changed so far, as
    the server at `--url` has counted it; a data directory has the digest alone.
    """
    session: Session = context.obj
    if off and folder is not None:
        raise UsageError("usage", "`--off` ends the comparison; it takes no folder")
    files = None if folder is None else read_folder(folder)
    if files is not None:
        load_policy(files)
    with connect(session, data_dir=data_dir, url=url, workspace=None, of_workspace=False) as api:
        answer = _start(api, files, note) if files is not None else api.call("DELETE" if off else "GET", "shadow")
    if as_json:
        session.screen.json(answer)
    elif files is not None:
        session.screen.line(f"{short(answer['data']['digest'])} runs in shadow (revision {answer['revision']})")
    elif off:
        session.screen.line(f"no bundle runs in shadow (revision {answer['revision']})")
    else:
        _show(session.screen, answer["data"])


def _start(api: Api, files: dict[str, str], note: str) -> dict[str, Any]:
    return api.call("POST", "shadow", body={"digest": publish(api, files, note), "note": note})


def _show(screen: Screen, report: dict[str, Any]) -> None:
    if report["digest"] is None:
        screen.line("no bundle runs in shadow")
        return
    state = f"{report['state']}, {report['compared']} compared, {report['failures']} failed"
    screen.line(f"{short(report['digest'])}: {state}")
    if report["flips"]:
        rows = [(one["change"], one["reason"], one["rule"], one["count"]) for one in report["flips"]]
        screen.table(("change", "reason", "rule", "count"), rows)
