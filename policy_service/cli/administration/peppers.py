"""`peppers`: the keys under which secrets are hashed. On the data directory alone: they never leave it."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.nouns import field, noun
from policy_service.cli.shared.options import AsJson, DataDir
from policy_service.service.pepper_rotation import PepperUse, all_keys, pepper_uses, retire, rotate
from policy_service.service.peppers import Peppers
from policy_service.settings import Settings, load_settings

app = noun("Peppers, under which secrets are hashed: list, rotate, retire.")

RELOAD = "restart servers on this data directory, or send them SIGHUP"

_COLUMNS = (field("id"), field("state"), field("working", "secrets that work"), field("ended", "secrets that ended"))


@app.command("list")
def list_peppers(context: typer.Context, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the peppers, and how many secrets are under each.

    The peppers themselves are never shown.
    """
    session: Session = context.obj
    settings = load_settings(data_dir=data_dir)
    uses = [msgspec.to_builtins(use) for use in _uses(session, settings)]
    if as_json:
        session.screen.json({"data": uses})
    else:
        session.screen.table(
            [header for header, _ in _COLUMNS], [[value(use) for _, value in _COLUMNS] for use in uses]
        )


@app.command("rotate")
def rotate_peppers(context: typer.Context, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Make a fresh pepper for new secrets.

    Old secrets keep working, under theirs: no key is reissued.
    """
    made = rotate(load_settings(data_dir=data_dir).pepper_path())
    _done(context.obj, f"pepper {made.current} is current; {RELOAD}", {"current": made.current}, as_json)


@app.command("retire")
def retire_pepper(
    context: typer.Context,
    pepper_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take a pepper out for good.

    Refused while a secret under it works; those that ended become unknown.
    """
    session: Session = context.obj
    settings = load_settings(data_dir=data_dir)
    retire(settings.pepper_path(), pepper_id, _uses(session, settings))
    _done(session, f"pepper {pepper_id} is retired; {RELOAD}", {"retired": pepper_id}, as_json)


def _uses(session: Session, settings: Settings) -> list[PepperUse]:
    with session.environment.services(settings) as services:
        peppers = Peppers.load(settings.pepper_path())
        return pepper_uses(peppers, all_keys(services.store), session.environment.now())


def _done(session: Session, sentence: str, document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        session.screen.json({"data": document})
    else:
        session.screen.line(sentence)
