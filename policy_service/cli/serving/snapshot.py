"""`snapshot`: make the snapshot file from which servers start. They run it themselves; by hand it is of use before a
first start on very many facts."""

from __future__ import annotations

import gc
from pathlib import Path

import msgspec
import typer

from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.options import AsJson, DataDir
from policy_service.model.errors import StoreError
from policy_service.service.following.snapshot_file import SnapshotFiles
from policy_service.service.following.snapshot_making import Made, make_snapshot
from policy_service.service.ports import FactStore
from policy_service.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("snapshot")(snapshot)


def snapshot(context: typer.Context, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Make the snapshot file from which servers start, as of now.

    A server does so itself when much has changed. The file holds verifiers of secrets and no secret; it can be removed
    at any time, and the next start then reads all changes.
    """
    session: Session = context.obj
    settings = load_settings(data_dir=data_dir)
    with session.environment.facts(settings) as store:
        made = _made(store, settings.snapshot_path())
    if as_json:
        session.screen.json({"data": msgspec.to_builtins(made)})
    elif made.facts:
        session.screen.line(f"made a snapshot file as of revision {made.revision}; {made.facts} facts had changed")
    else:
        session.screen.line(f"the snapshot file is as of revision {made.revision} already")


def _made(store: FactStore, folder: Path) -> Made:
    # Nothing is garbage before the end: to look for it among so many facts takes half of the time.
    gc.disable()
    try:
        return make_snapshot(store, SnapshotFiles(folder))
    except OSError as error:
        reason = (error.strerror or "not possible").lower()
        raise StoreError("snapshot_unwritable", f"cannot write a snapshot file in `{folder}`: {reason}") from error
    finally:
        gc.enable()
