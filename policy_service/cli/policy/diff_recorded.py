"""`policy diff --ledger`: the recorded requests that the new rules would answer otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from policy_service.cli.ledger.replay import past_of, replaying
from policy_service.cli.shared.environment import Session
from policy_service.language.policy import Policy
from policy_service.ledger.reader import sources
from policy_service.service.auditing.foresee import FLIPS, Foreseen, Scenario, foresee
from policy_service.service.auditing.replay import ReplayOptions
from policy_service.settings import load_settings

Ledger = Annotated[
    Path | None,
    typer.Option(
        "--ledger",
        metavar="PATH",
        help="Also decide the records there anew, by NEW: a data directory, or files of records (facts: --data-dir).",
    ),
]
FAILING: Final[dict[str | None, tuple[str, ...]]] = {
    None: (),
    "looser": ("deny-to-allow",),
    "stricter": ("allow-to-deny",),
    "any": FLIPS,
}
"""The flips that `--fail-on` speaks of."""
_EXAMPLES: Final = 3


class Recorded(msgspec.Struct, frozen=True):
    """What was foreseen of recorded requests, and how long it took."""

    found: Foreseen
    spent_ns: int

    def fails(self, fail_on: str | None) -> bool:
        """Whether it has flips that nobody wants."""
        return any(self.found.flips[flip] for flip in FAILING[fail_on])


def recorded_flips(session: Session, ledger: Path, data_dir: Path | None, after: Policy) -> Recorded:
    """Decide all records of a ledger again, each on the facts of its time.

    Raises:
        UsageError, StoreError: the records or the facts cannot be had.
    """
    folder = ledger if data_dir is None and ledger.is_dir() else data_dir
    settings, found = load_settings(data_dir=folder), sources([ledger])
    with past_of(session, settings, None) as archive, replaying(session, found) as advance:
        started = session.environment.now()
        options = ReplayOptions(progress=advance, shown=_EXAMPLES)
        foreseen = foresee(archive, found, Scenario(policy=after), options)
        return Recorded(foreseen, session.environment.now() - started)
