"""`init` and `demo`: a data directory from nothing, and the demonstration to play with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from policy_service.cli.serving.demonstration import KEY_ROLES, examples
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.options import AsJson, DataDir, Port
from policy_service.model.facts import ApiKey, Workspace
from policy_service.model.names import SYSTEM_WORKSPACE
from policy_service.service.services import Services
from policy_service.service.setup import DEMO, Initialized
from policy_service.settings import Settings, load_settings

PolicyChoice = Annotated[
    Path | None,
    typer.Option("--policies", metavar="DIR", help="Rule files to start with. [default: the shipped ones]"),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("init")(initialize)
    app.command("demo")(show_demo)


def initialize(
    context: typer.Context,
    data_dir: DataDir = None,
    demo: Annotated[bool, typer.Option("--demo", help="With workspace demo, people, resources and keys.")] = False,
    policies: PolicyChoice = None,
    port: Port = None,
    as_json: AsJson = False,
) -> None:
    """Make a data directory, or bring one up to date.

    Safe to repeat: a second run changes nothing. The keys that it prints are shown once.
    """
    session: Session = context.obj
    settings = load_settings(data_dir=data_dir, port=port)
    made = session.environment.initialize(settings, demo, policies)
    if as_json:
        session.screen.json(_document(made))
    elif demo:
        _show_keys(session, made)
        _show_examples(session, settings, made)
    else:
        _show_store(session, settings, made)


def show_demo(
    context: typer.Context,
    fresh_keys: Annotated[bool, typer.Option("--fresh-keys", help="Issue another set of keys and show it.")] = False,
    data_dir: DataDir = None,
    port: Port = None,
    as_json: AsJson = False,
) -> None:
    """Show the demo keys' public ids, or issue fresh keys."""
    session: Session = context.obj
    settings = load_settings(data_dir=data_dir, port=port)
    if fresh_keys:
        made = session.environment.fresh_demo_keys(settings)
        if as_json:
            session.screen.json(_document(made))
        else:
            _show_keys(session, made)
            _show_examples(session, settings, made)
        return
    with session.environment.services(settings) as services:
        keys = _demo_keys(services) if services.replica.view().fact(Workspace.entity, (DEMO,)) else []
    if as_json:
        session.screen.json({"keys": [_key_document(key) for key in keys]})
    elif keys:
        _show_ids(session, settings, keys)
    else:
        session.screen.note(f"{settings.data_dir} holds no demonstration; `init --demo` on a fresh folder makes one")


def _document(made: Initialized) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(made)
    return document


def _show_keys(session: Session, made: Initialized) -> None:
    screen = session.screen
    screen.line("Keys of the demonstration. They are shown this once:", "bold")
    rows = ((role.title, getattr(made, role.member), role.text) for role in KEY_ROLES)
    screen.table(("holder", "key", "what it is"), [row for row in rows if row[1] is not None])
    screen.line()


def _show_examples(session: Session, settings: Settings, made: Initialized) -> None:
    screen = session.screen
    screen.line("Ready to paste once the server runs; every answer is a 200, a deny too:", "bold")
    for title, command in examples(made, f"http://{_host(settings)}:{settings.port}"):
        screen.line()
        screen.line(f"# {title}", "dim")
        screen.line(command)
    screen.line()


def _host(settings: Settings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound
    return f"[{host}]" if ":" in host else host


def _show_store(session: Session, settings: Settings, made: Initialized) -> None:
    screen = session.screen
    where = shlex.quote(str(settings.data_dir))
    if not made.created:
        screen.line(f"{where} is set up: revision {made.revision}, policy {made.bundle}")
        return
    screen.line(f"{where} is ready: revision {made.revision}, policy {made.bundle}")
    if made.system_key is not None:
        screen.line()
        screen.line("The operator's key. It is shown this once, and covers every workspace:", "bold")
        screen.line(made.system_key)
    screen.line()
    screen.line(f"next: policy-service serve --data-dir {where}")


def _demo_keys(services: Services) -> list[ApiKey]:
    """Of each principal of the demonstration and of the operator, the newest key that is not revoked."""
    newest: dict[tuple[str, str], ApiKey] = {}
    for key in services.replica.view().facts(ApiKey.entity):
        if not isinstance(key, ApiKey) or key.workspace not in (SYSTEM_WORKSPACE, DEMO):
            continue
        place = (key.workspace, key.principal_id)
        if key.revoked_at is None:
            # Of two made at the same instant the later change wins: max() gives the first of equals.
            newest[place] = max(key, newest.get(place, key), key=lambda found: found.created_at)
    return [newest[place] for place in sorted(newest, reverse=True)]


def _show_ids(session: Session, settings: Settings, keys: list[ApiKey]) -> None:
    screen = session.screen
    screen.line(f"{settings.data_dir} has its demonstration already. Its keys, by public id:", "bold")
    rows = ((key.id, f"{key.principal_kind} {key.principal_id}", key.workspace, key.scopes) for key in keys)
    screen.table(("id", "acts as", "workspace", "scopes"), rows)
    screen.line()
    screen.line("Their secrets were shown once. Fresh keys: make demo-keys")
    screen.line(f"(which is: policy-service demo --fresh-keys --data-dir {shlex.quote(str(settings.data_dir))})")
    screen.line()


def _key_document(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "principal": {"kind": key.principal_kind, "id": key.principal_id},
        "workspace": key.workspace,
        "scopes": list(key.scopes),
    }
