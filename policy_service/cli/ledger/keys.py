"""`ledger keys`: the keys that sign checkpoints. On the data directory alone: the private ones never leave it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.nouns import noun
from policy_service.cli.shared.options import AsJson, DataDir
from policy_service.ledger.keys import load_signers, load_verifiers, retire, rotate, verifiers_path
from policy_service.settings import Settings, load_settings

_app = noun("The keys that sign checkpoints: list, rotate, retire.")


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(_app, name="keys")


@_app.command("list")
def list_keys(context: typer.Context, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List every verifier key there ever was: what an auditor needs.

    `retired` ones sign no more; what they signed still verifies. Private keys are never shown.
    """
    session: Session = context.obj
    keys = _keys(load_settings(data_dir=data_dir))
    if as_json:
        session.screen.json({"data": keys})
    else:
        session.screen.table(["state", "verifier key"], [[key["state"], key["verifier"]] for key in keys])


@_app.command("rotate")
def rotate_keys(context: typer.Context, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Make a fresh key, by which checkpoints are signed from now on.

    The old ones go on signing beside it, so that auditors can change over when they like; then retire them. A running
    server needs not be told.
    """
    made = rotate(load_settings(data_dir=data_dir).signing_key_path())[-1].verifier
    sentence = f"key {made.key_id} is current; give its verifier key to your auditors: {made}"
    _done(context.obj, sentence, {"current": made.key_id, "verifier": str(made)}, as_json)


@_app.command("retire")
def retire_key(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take a private key out for good: it signs no more, and what it signed still verifies.

    The current one cannot be retired: rotate first.
    """
    retire(load_settings(data_dir=data_dir).signing_key_path(), key_id)
    _done(context.obj, f"key {key_id} is retired; it signs no more", {"retired": key_id}, as_json)


def _keys(settings: Settings) -> list[dict[str, str]]:
    path = settings.signing_key_path()
    signing = [signer.verifier for signer in load_signers(path)]
    states = dict.fromkeys(signing, "old") | {signing[-1]: "current"}
    known = load_verifiers(verifiers_path(path))
    return [
        {"id": verifier.key_id, "state": states.get(verifier, "retired"), "verifier": str(verifier)}
        for verifier in known
    ]


def _done(session: Session, sentence: str, document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        session.screen.json({"data": document})
    else:
        session.screen.line(sentence)
