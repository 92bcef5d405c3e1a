"""`ledger pack`: facts and bundles in one file, without secrets, for whoever replays records elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.options import AsJson, DataDir
from policy_service.service.auditing.archive import StoreArchive
from policy_service.service.auditing.replay_pack import Packed, write_pack
from policy_service.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("pack")(pack)


def pack(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write; compressed if it ends in .zst.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write facts and bundles into one file, without secrets.

    It is a replay pack: with it and exported records an outside auditor runs `ledger replay FILES --pack OUT`, and
    needs nothing else of yours.

    It holds the facts of all workspaces: names, memberships, resources. It holds no key, verifier or pepper.
    """
    session: Session = context.obj
    with session.environment.facts(load_settings(data_dir=data_dir)) as store:
        archive = StoreArchive(store)
        with session.screen.progress("packing", archive.head) as advance:
            packed = write_pack(archive, out, advance)
    if as_json:
        session.screen.json({"data": {**msgspec.to_builtins(packed), "out": str(out)}})
    else:
        _show(session, packed, out)


def _show(session: Session, packed: Packed, out: Path) -> None:
    header = packed.header
    bundles = f"{header.bundles} bundle{'' if header.bundles == 1 else 's'}"
    session.screen.line(f"packed {header.head} changes and {bundles} into {out}; no secret is in it")
    for digest in packed.missing:
        session.screen.note(f"bundle {digest} was active once and is not in the store: its records cannot be replayed")
