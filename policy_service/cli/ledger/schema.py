"""`ledger schema`: the JSON Schema of a decision record, for whoever reads ledgers with tools of their own."""

from __future__ import annotations

import typer

from policy_service.cli.shared.environment import Session


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("schema")(show_schema)


def show_schema(context: typer.Context) -> None:
    """Print the JSON Schema of a ledger line, a decision record."""
    # Imported here: other commands need no records.
    from policy_service.ledger.codec import json_schema  # noqa: PLC0415 - as said

    session: Session = context.obj
    session.screen.json(json_schema())
