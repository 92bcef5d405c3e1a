"""`serve`: the server. It never migrates and never seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from policy_service.cli.environment import Session
from policy_service.cli.options import DataDir, Port
from policy_service.model.errors import UsageError
from policy_service.service.callers import Caller
from policy_service.service.policy_folder import read_folder
from policy_service.service.services import Services
from policy_service.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    context: typer.Context,
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="[default: 127.0.0.1]")] = None,
    port: Port = None,
    workers: Annotated[int | None, typer.Option("--workers", metavar="N", help="Only 1 is built so far.")] = None,
    policies: Annotated[
        Path | None,
        typer.Option(
            "--policies", metavar="DIR", help="Activate these rule files at start, if they mean something else."
        ),
    ] = None,
) -> None:
    """Answer requests, until SIGTERM or Ctrl-C.

    Requests under way are finished first. It never migrates and never seeds: that is `init`.
    """
    session: Session = context.obj
    # Imported here: no other command needs uvicorn.
    from policy_service.cli.server import run_server  # noqa: PLC0415 - as said

    environment, screen = session.environment, session.screen
    settings = load_settings(data_dir=data_dir, host=host, port=port, workers=workers)
    if settings.workers > 1:
        raise UsageError("workers", "several workers come later; leave `--workers` at 1, which serves on one core")
    with environment.services(settings) as services:
        if policies is not None and (digest := activate_folder(services, environment.local_caller, policies)):
            screen.note(f"activated {policies}: {digest}")
        if services.bundles.active() is None:
            raise UsageError("no_policy", "no policy is active; run `policy-service init` first, or name `--policies`")
        screen.note("decisions are not recorded yet: the ledger comes with a later version")
        app, protocol = environment.public_app(services, settings), environment.protocol(settings)
        run_server(app, settings, protocol, lambda url: screen.line(_welcome(url)))
    screen.note("stopped")


def _welcome(url: str) -> str:
    return f"listening on {url} (documentation: {url}/docs; Ctrl-C ends it)"


def activate_folder(services: Services, caller: Caller, folder: Path) -> str | None:
    """Publish and activate the rule files of a folder. The digest, or None where they mean what is active already.

    Raises:
        PolicyErrors: the files have mistakes; what was active stays.
    """
    published = services.bundles.publish(caller, read_folder(folder), note=f"serve --policies {folder}")
    assert published.fact is not None  # publishing always leaves a bundle
    digest = published.fact.digest
    if digest == services.bundles.active():
        return None
    services.bundles.activate(caller, digest, note=f"serve --policies {folder}")
    services.replica.catch_up()
    return digest
