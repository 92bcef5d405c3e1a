"""`ledger checkpoint`: what an auditor keeps elsewhere."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from policy_service.cli.ledger.options import PublicKey, verifiers
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.options import AsJson, DataDir
from policy_service.ledger.evidence import Vouched
from policy_service.model.instants import format_rfc3339
from policy_service.service.auditing.proving import latest_checkpoints
from policy_service.settings import load_settings

NO = 1


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("checkpoint")(show_checkpoints)


def show_checkpoints(
    context: typer.Context,
    of_all: Annotated[bool, typer.Option("--all", help="The latest of every shard, closed ones too.")] = False,
    public_key: PublicKey = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> int:
    """Print the latest signed checkpoints, to be kept elsewhere.

    Where nobody of this machine can reach them.
    The newest vouches for all shards that were closed before, too. Hand them to `ledger verify --against FILE`.
    Exit code 1: nothing was signed yet.
    """
    session: Session = context.obj
    settings = load_settings(data_dir=data_dir)
    found = latest_checkpoints(settings.ledger_path(), verifiers(settings, public_key), of_all=of_all)
    if as_json:
        session.screen.json({"data": [_document(one) for one in found]})
    elif not found:
        session.screen.note("no checkpoint was signed yet: start the server, or ask again in a minute")
    for one in () if as_json else found:
        session.screen.block(one.file.read_text(encoding="utf-8"))
    return 0 if found else NO


def _document(one: Vouched) -> dict[str, Any]:
    checkpoint = one.checkpoint
    return {
        "shard": checkpoint.shard,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "time": format_rfc3339(checkpoint.time),
        "revision": checkpoint.revision,
        "chain": checkpoint.chain,
        "open_shards": list(checkpoint.open_shards),
        "note": one.file.read_text(encoding="utf-8"),
    }
