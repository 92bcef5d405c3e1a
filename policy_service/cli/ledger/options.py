"""Options and forms that the commands of the ledger share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from policy_service.ledger.helpers import processors
from policy_service.ledger.keys import load_verifiers, verifiers_path
from policy_service.ledger.notes import Verifier
from policy_service.model.errors import UsageError
from policy_service.settings import Settings

MOST_JOBS: Final = 64
UNASKED: Final = 8
"""Processes at most where none are asked for: of a replay each holds all facts."""
WORTH: Final = 16 << 20
"""Bytes of records that are worth another process."""

PublicKey = Annotated[
    Path | None,
    typer.Option(
        "--public-key", metavar="FILE", help="The log's verifier keys, one a line. [default: the data directory's]"
    ),
]

Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs", min=1, max=MOST_JOBS, metavar="N", show_default=False, help="Processes. [default: the processors]"
    ),
]


def jobs_for(jobs: int | None, size: int) -> int:
    """How many processes are to share work on files of so many bytes. Of few bytes a single one is as quick."""
    if jobs is not None:
        return jobs
    return max(1, min(processors(), UNASKED, size // WORTH))


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
