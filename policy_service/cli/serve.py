"""`serve`: the server. It never migrates and never seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from policy_service.cli.environment import Session
from policy_service.cli.hangup import reload_on_hangup
from policy_service.cli.options import DataDir, Port
from policy_service.cli.screen import Screen
from policy_service.model.errors import UsageError
from policy_service.service.caller import Caller
from policy_service.service.policies.folder_watch import FolderWatch
from policy_service.service.services import Services
from policy_service.settings import load_settings

_OFF: Final = (
    "warning: POLICY_SERVICE_LEDGER_DURABILITY is `off`: NO DECISION LEAVES A RECORD; none can be replayed or proven"
)


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
            "--policies", metavar="DIR", help="For development: let these rule files decide, now and after every save."
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
        if policies is not None:
            services = _watched(services, environment.local_caller, policies, screen)  # noqa: PLW2901 - the same, watched
        services.replica.view()
        if services.bundles.active() is None:
            raise UsageError("no_policy", "no policy is active; run `policy-service init` first, or name `--policies`")
        if services.recorder is None:
            screen.note(_OFF)
        reload_on_hangup(services.peppers, settings.pepper_path())
        app = environment.public_app(services, settings)
        protocol = environment.protocol(app, settings)
        with environment.ledger(settings, services):
            run_server(app, settings, protocol, lambda url: screen.line(_welcome(url)))
    screen.note("stopped")


def _watched(services: Services, caller: Caller, folder: Path, screen: Screen) -> Services:
    """The services, with a watch over a folder whose files decide from now on."""
    watch = FolderWatch(folder, services.bundles, caller)
    if digest := watch.activate():
        services.replica.catch_up()
        screen.note(f"activated {folder}: {digest}")
    return msgspec.structs.replace(services, watch=watch)


def _welcome(url: str) -> str:
    return f"listening on {url} (documentation: {url}/docs; Ctrl-C ends it)"
