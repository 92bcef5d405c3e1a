"""`ledger verify`: nothing was altered, dropped, added or reordered; or where it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from policy_service.cli.ledger.options import Jobs, PublicKey, jobs_for, ledger_folder, verifiers
from policy_service.cli.ledger.revocation import revocation_document, show_revocation
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.options import AsJson, DataDir
from policy_service.cli.shared.screen import Screen
from policy_service.ledger.findings import Finding
from policy_service.ledger.reader import sources
from policy_service.ledger.verify import Verified, scanners
from policy_service.model.instants import NS_PER_S
from policy_service.service.auditing.archive import Archive, StoreArchive
from policy_service.service.auditing.audit import audit
from policy_service.service.auditing.proving import kept_checkpoints
from policy_service.service.auditing.receipts import RevocationReport, check_revocation, read_receipt
from policy_service.settings import Settings, load_settings

NO = 1
_MANY: Final = 10_000
"""Of fewer records a rate says nothing."""

Against = Annotated[
    list[Path] | None,
    typer.Option("--against", metavar="FILE", help="Checkpoints that were kept elsewhere; may be repeated."),
]
Revocation = Annotated[
    Path | None,
    typer.Option("--revocation", metavar="RECEIPT", help="Also show what was decided on a key after it was revoked."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(verify_ledger)


def verify_ledger(
    context: typer.Context,
    against: Against = None,
    revocation: Revocation = None,
    public_key: PublicKey = None,
    jobs: Jobs = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> int:
    """Verify that nothing was altered, dropped, added or moved.

    No record, shard, change or bundle, as far as signed checkpoints vouch for them.
    Works on a copy of a data directory, without the server. Exit code 0: all is as it was signed; 1: something is not,
    and the first bad record is named.

    What was rewritten after the last checkpoint that left the machine cannot be seen from the machine alone: keep what
    `ledger checkpoint` prints elsewhere, and give it to `--against`.
    """
    session: Session = context.obj
    settings = load_settings(data_dir=data_dir)
    folder = ledger_folder(settings)
    keys = verifiers(settings, public_key)
    receipt = None if revocation is None else read_receipt(revocation)
    kept = [one for file in against or () for one in kept_checkpoints(file, keys)]
    total = sum(source.path.stat().st_size for source in sources([folder]))
    started = session.environment.now()
    with (
        scanners(jobs_for(jobs, total)) as helpers,  # first: what is opened after it is not theirs
        past(session, settings) as archive,
        session.screen.progress("verifying", total) as advance,
    ):
        verified = audit(folder, keys, archive, kept=kept, progress=lambda size, _lines: advance(size), helpers=helpers)
        changes = None if archive is None else archive.changes()
        report = None if receipt is None else check_revocation(receipt, folder, changes)
    _show(session.screen, verified, report, session.environment.now() - started, as_json)
    return 0 if verified.is_good and (report is None or report.is_good) else NO


def _show(screen: Screen, verified: Verified, report: RevocationReport | None, spent_ns: int, as_json: bool) -> None:
    if as_json:
        more = {} if report is None else {"revocation": revocation_document(report)}
        screen.json(verified_document(verified, spent_ns) | more)
        return
    show_verified(screen, verified, spent_ns)
    if report is not None:
        show_revocation(screen, report)


@contextlib.contextmanager
def past(session: Session, settings: Settings) -> Iterator[Archive | None]:
    """The changes and bundles of the data directory; None where there are only the ledger's files."""
    if settings.database_url is None and not (settings.data_dir / "policy.db").is_file():
        yield None
        return
    with session.environment.facts(settings) as store:
        yield StoreArchive(store)


def verified_document(verified: Verified, spent_ns: int) -> dict[str, Any]:
    """The JSON form."""
    return {"ok": verified.is_good, "seconds": round(spent_ns / NS_PER_S, 3), **msgspec.to_builtins(verified)}


def show_verified(screen: Screen, verified: Verified, spent_ns: int) -> None:
    """Print what came of it: every finding, then one line."""
    for one in verified.findings:
        show_finding(screen, one)
    if verified.findings:
        screen.line()
    screen.line(summary(verified, spent_ns), "green" if verified.is_good else "red")


def show_finding(screen: Screen, one: Finding) -> None:
    """Where, what, and what to do about it."""
    is_error = one.severity == "error"
    record = f"  record {one.number:,}" if one.number is not None else ""
    name = f" {one.record}" if one.record is not None else ""
    screen.parts(
        (one.place(), "bold"),
        (record + name, "dim"),
        (f"  {one.message}", "red" if is_error else ""),
        (f" [{one.code}]", "dim"),
    )
    screen.parts((f"    {'→' if is_error else '·'} {one.remedy}", "dim"))


def summary(verified: Verified, spent_ns: int) -> str:
    """One line: `35 records in 2 shards, 32 of them under 8 checkpoints, 25 changes: as they were signed (0.1 s …)`."""
    seconds = max(spent_ns, 1) / NS_PER_S
    parts = [
        f"{_count(verified.records, 'record')} in {_count(verified.shards, 'shard')}",
        f"{verified.covered:,} under {_count(verified.checkpoints, 'checkpoint')}",
        *([] if verified.changes is None else [_count(verified.changes, "change")]),
        *([] if verified.bundles is None else [_count(verified.bundles, "bundle")]),
    ]
    rate = f"{seconds:.1f} s"
    if verified.records > _MANY:
        rate += f", {verified.records / seconds:,.0f} records a second"
    return f"{', '.join(parts)}: {_verdict(verified)} ({rate})"


def _verdict(verified: Verified) -> str:
    wrong = sum(one.severity == "error" for one in verified.findings)
    if wrong:
        return f"{_count(wrong, 'thing')} wrong"
    return "nothing was altered, dropped or added"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
