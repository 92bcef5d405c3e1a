"""`serve`: the server. It never migrates and never seeds."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from policy_service.cli.serving.hangup import reload_on_hangup
from policy_service.cli.serving.supervisor import Post, Supervisor
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.options import DataDir, Port
from policy_service.cli.shared.screen import Screen
from policy_service.model.errors import UsageError
from policy_service.service.following.crew import Crew
from policy_service.service.policies.folder_watch import FolderWatch
from policy_service.service.policies.shelf import Shelf
from policy_service.service.policies.workshop import Workshop
from policy_service.service.services import Services
from policy_service.settings import Settings, load_settings

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
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Processes that answer. [default: 1]")
    ] = None,
    policies: Annotated[
        Path | None,
        typer.Option(
            "--policies", metavar="DIR", help="For development: let these rule files decide, now and after every save."
        ),
    ] = None,
) -> None:
    """Answer requests, until SIGTERM or Ctrl-C.

    Requests under way are finished first. It never migrates and never seeds: that is `init`. SIGHUP has every worker
    read the peppers anew.
    """
    session: Session = context.obj
    settings = load_settings(data_dir=data_dir, host=host, port=port, workers=workers)
    if settings.ledger_durability == "off":
        session.screen.note(_OFF)
    if settings.workers == 1:
        _work(session, settings, policies)
    elif code := _serve_with_workers(session, settings, policies):
        raise typer.Exit(code)


def _serve_with_workers(session: Session, settings: Settings, policies: Path | None) -> int:
    """Returns in every process: in a worker once it has ended, in the supervisor once all have."""
    # Imported here: no other command needs uvicorn.
    from policy_service.cli.serving.server import listen, log_to_stderr, take_all_files, url_of  # noqa: PLC0415 - as said

    listener = listen(settings)
    session.environment.import_all()
    log_to_stderr(settings.log_level)
    take_all_files()
    # What was made so far is never looked through again, and stays in memory that all workers share.
    gc.collect()
    gc.freeze()
    address = url_of(listener)
    shelf = Shelf()
    supervisor = Supervisor(
        Crew(settings.workers),
        listener,
        grace_s=settings.shutdown_grace_s,
        ready=lambda: session.screen.line(_welcome(address)),
    )
    outcome = supervisor.run()
    if isinstance(outcome, Post):
        with outcome.connections:
            _work(session, settings, policies, outcome, shelf)
        return 0
    if outcome == 0:
        session.screen.note("stopped")
    return outcome


def _work(
    session: Session,
    settings: Settings,
    policies: Path | None,
    post: Post | None = None,
    shelf: Shelf | None = None,
) -> None:
    """Answer requests as the only process, or as one of several."""
    from policy_service.cli.serving.server import log_to_stderr, run_server, run_worker  # noqa: PLC0415 - as above

    if post is not None:
        log_to_stderr(settings.log_level, post.member.number)
    environment, screen = session.environment, session.screen
    member = None if post is None else post.member
    with Workshop(shelf=shelf) as workshop, environment.serving(settings, member, workshop.make) as services:
        if policies is not None and (member is None or member.is_first):
            watch = FolderWatch(policies, services.bundles, environment.local_caller)
            services = msgspec.structs.replace(services, watch=watch)  # noqa: PLW2901 - the same, watched
            if post is None or not post.is_again:
                _activate(watch, services, policies, screen)
        services.replica.view()
        if services.bundles.active() is None:
            raise UsageError("no_policy", "no policy is active; run `policy-service init` first, or name `--policies`")
        reload_on_hangup(services.peppers, settings.pepper_path())
        app = environment.public_app(services, settings)
        protocol = environment.protocol(app, settings)
        with environment.ledger(settings, services):
            if post is None:
                run_server(app, settings, protocol, lambda url: screen.line(_welcome(url)))
            else:
                run_worker(app, settings, protocol, post)
    if post is None:
        screen.note("stopped")


def _activate(watch: FolderWatch, services: Services, folder: Path, screen: Screen) -> None:
    """Let the files of the watched folder decide from now on."""
    if digest := watch.activate():
        services.replica.catch_up()
        screen.note(f"activated {folder}: {digest}")


def _welcome(url: str) -> str:
    return f"listening on {url} (documentation: {url}/docs; Ctrl-C ends it)"
