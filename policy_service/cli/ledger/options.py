"""Options and forms that the commands of the ledger share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from policy_service.ledger.keys import load_verifiers, verifiers_path
from policy_service.ledger.notes import Verifier
from policy_service.model.errors import UsageError
from policy_service.settings import Settings

PublicKey = Annotated[
    Path | None,
    typer.Option(
        "--public-key", metavar="FILE", help="The log's verifier keys, one a line. [default: the data directory's]"
    ),
]


def verifiers(settings: Settings, public_key: Path | None) -> Sequence[Verifier]:
    """The keys that may have signed checkpoints.

    Raises:
        UsageError: there are none, or the file is damaged.
    """
    return load_verifiers(public_key or verifiers_path(settings.signing_key_path()))


def ledger_folder(settings: Settings) -> Path:
    """Where the ledger is. Raises UsageError `no_ledger`."""
    folder = settings.ledger_path()
    if not folder.is_dir():
        raise UsageError("no_ledger", f"there is no ledger at `{folder}`; name the data directory with `--data-dir`")
    return folder
