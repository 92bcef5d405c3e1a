"""`ledger prove`: one record and its path to a signed root; and whether such a proof holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from policy_service.cli.ledger.options import PublicKey, verifiers
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.options import AsJson, DataDir
from policy_service.cli.shared.screen import Screen
from policy_service.ledger.codec import BadLine, decode_record
from policy_service.ledger.notes import FormatError
from policy_service.ledger.proof import Proven, verify_proof
from policy_service.model.errors import UsageError
from policy_service.model.instants import format_rfc3339
from policy_service.service.auditing.proving import ProofError, prove
from policy_service.settings import load_settings

NO = 1


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("prove")(prove_record)


def prove_record(
    context: typer.Context,
    record: Annotated[str | None, typer.Argument(metavar="RECORD_ID", show_default=False)] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the proof here.")] = None,
    check: Annotated[
        Path | None, typer.Option("--check", metavar="FILE", help="Verify a proof; needs the public key alone.")
    ] = None,
    public_key: PublicKey = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> int:
    """Prove that a record is in the ledger; verify such a proof.

    A proof holds the record, its place, the path to the root, and the signed checkpoint: whoever has the log's verifier
    key needs nothing else. Exit code 1: there is no such record, no checkpoint reaches it yet, or the proof does not
    hold.
    """
    session: Session = context.obj
    settings = load_settings(data_dir=data_dir)
    if (record is None) == (check is None):
        raise UsageError("usage", "name a record, or give a proof to `--check`")
    keys = verifiers(settings, public_key)
    if check is not None:
        return _check(session.screen, _content(check), keys, as_json)
    assert record is not None  # one of the two is there
    try:
        text = prove(settings.ledger_path(), record, keys)
    except ProofError as error:
        session.screen.error(error.code, error.message)
        return NO
    _give(session.screen, text, out, as_json)
    return 0


def _give(screen: Screen, text: str, out: Path | None, as_json: bool) -> None:
    if out is not None:
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            reason = (error.strerror or "output failed").lower()
            raise UsageError("unwritable", f"cannot write `{out}`: {reason}") from None
        screen.note(f"wrote {out}; verify it with `ledger prove --check {out} --public-key FILE`")
    elif as_json:
        screen.json({"data": {"proof": text}})
    else:
        screen.block(text)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        reason = (error.strerror or "input failed").lower()
        raise UsageError("unreadable_proof", f"cannot read `{file}`: {reason}") from None


def _check(screen: Screen, text: bytes, keys: Any, as_json: bool) -> int:
    try:
        proven = verify_proof(text, keys)
    except FormatError as error:
        if as_json:
            screen.json({"ok": False, "code": error.code, "message": error.message})
        else:
            screen.line(f"the proof does not hold: {error.message} [{error.code}]", "red")
        return NO
    _show_proven(screen, proven, as_json)
    return 0


def _show_proven(screen: Screen, proven: Proven, as_json: bool) -> None:
    checkpoint, record = proven.checkpoint, decode_record(proven.line)
    document = {
        "record": None if isinstance(record, BadLine) else record.id,
        "number": proven.index + 1,
        "of": checkpoint.size,
        "shard": checkpoint.shard,
        "signed_by": checkpoint.name,
        "signed_at": format_rfc3339(checkpoint.time),
    }
    if as_json:
        screen.json({"ok": True, **document, "line": proven.line.decode("utf-8", "replace")})
        return
    screen.line("the proof holds: this record was in the ledger when it was signed", "green")
    screen.fields([(name.replace("_", " "), value) for name, value in document.items()])
    if not isinstance(record, BadLine):
        screen.fields([("decided", f"{record.decision} ({record.reason}) at {format_rfc3339(int(record.at))}")])
