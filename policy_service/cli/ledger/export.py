"""`ledger export`: records for somebody else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from policy_service.cli.ledger.filters import Filters
from policy_service.cli.ledger.options import ledger_folder
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.grouped import spread
from policy_service.cli.shared.options import AsJson, DataDir
from policy_service.cli.shared.period import Period
from policy_service.model.errors import UsageError
from policy_service.settings import load_settings

_FORMATS = ("jsonl", "parquet")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export_records)


@spread
def export_records(
    context: typer.Context,
    *,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The file to write; it must not exist.", show_default=False)
    ],
    format: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option("--format", metavar="jsonl|parquet", help="[default: by the name of OUT]")
    ] = None,
    period: Period,
    filters: Filters,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Copy records into one file, the oldest first.

    `jsonl` copies lines byte for byte (compressed, if OUT ends in .zst): they can be replayed, and hold against proofs.
    `parquet` has a column for each member that people ask for, and needs `policy-service[sql]`.
    """
    # Imported here: other commands need no exports.
    from policy_service.ledger.export import export_lines, export_parquet  # noqa: PLC0415 - as said

    session: Session = context.obj
    wanted = filters.wanted(session.environment.now(), period)
    folder = ledger_folder(load_settings(data_dir=data_dir))
    if _format(format, out) == "parquet":
        count = export_parquet(folder, out, wanted)
    else:
        count = export_lines(folder, out, wanted, lambda _lines: None)
    if as_json:
        session.screen.json({"data": {"records": count, "out": str(out)}})
    else:
        session.screen.line(f"exported {count:,} record{'' if count == 1 else 's'} into {out}")


def _format(given: str | None, out: Path) -> str:
    found = given or ("parquet" if out.suffix == ".parquet" else "jsonl")
    if found not in _FORMATS:
        raise UsageError("usage", f"`--format {found}` must be jsonl or parquet")
    return found
