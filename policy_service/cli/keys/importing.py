"""`keys import`: keys by the thousand, from a file. Everything is checked before anything is written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Any, Final, TypeVar

import msgspec
import typer

from policy_service.cli.keys.lines import Line, read_lines
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.options import AsJson, DataDir
from policy_service.model.errors import PolicyServiceError, RequestError, UsageError
from policy_service.service.administration import Administration, KeyToImport, Minted
from policy_service.service.administration.key_import import PER_CHANGE
from policy_service.settings import load_settings

SHOWN: Final = 20
"""How many mistakes are shown; the others are counted."""
NO: Final = 1

T = TypeVar("T")


class Mistake(msgspec.Struct, frozen=True):
    """What is wrong with a line."""

    line: int
    code: str
    message: str


class Checked(msgspec.Struct):
    """What a whole file came to."""

    new: int = 0
    hashed: int = 0
    wrong: int = 0
    mistakes: list[Mistake] = []

    def add(self, line: int, error: RequestError) -> None:
        """Count a mistake, and keep it while there are few."""
        self.wrong += 1
        if len(self.mistakes) < SHOWN:
            self.mistakes.append(Mistake(line, error.code, error.message))


def register(app: typer.Typer) -> None:
    """Add the command to the noun."""
    app.command("import")(import_keys)


def import_keys(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="JSON Lines, one key each.")],
    workspace: Annotated[str, typer.Option("--workspace", "-w", metavar="ID", help="Workspace of all of them.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Where the new keys are written, once, mode 0600. Never overwritten."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the whole file, and write nothing.")] = False,
    from_line: Annotated[
        int, typer.Option("--from-line", min=1, metavar="N", help="Go on with an import that stopped before line N.")
    ] = 1,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> int:
    """Import keys from a file, once all of it is checked."""
    session: Session = context.obj
    with session.environment.services(load_settings(data_dir=data_dir)) as services:
        task = Import(session, services.administration, workspace, file, from_line)
        checked = task.check()
        if checked.wrong or dry_run:
            return _show_checked(session, file, checked, as_json)
        if checked.new and out is None:
            raise UsageError("usage", f"{checked.new} keys are new; say with `--out` where they are to be written")
        revision = task.write(checked, out)
    _show_done(session, checked, revision, out, as_json)
    return 0


class Import:
    """One import, in two passes over the file, so that a million keys need no memory."""

    def __init__(
        self, session: Session, administration: Administration, workspace: str, file: Path, from_line: int
    ) -> None:
        self._session = session
        self._administration = administration
        self._workspace = workspace
        self._file = file
        self._from_line = from_line

    def check(self) -> Checked:
        """Look at every line. Nothing is written."""
        checked = Checked()
        seen: dict[str, int] = {}
        with self._session.screen.progress("checking", self._size()) as advance:
            for lines in _batched(self._lines(), PER_CHANGE):
                self._check(lines, checked, seen)
                advance(sum(line.size for line in lines))
        return checked

    def write(self, checked: Checked, out: Path | None) -> int:
        """Import every line. The last revision; 0 where the file held none.

        Raises:
            UsageError: `unwritable_output`; `import_stopped`, in the middle; the message says how to go on.
        """
        revision, done = 0, self._from_line - 1
        total = checked.new + checked.hashed
        with (
            _output(out if checked.new else None) as texts,
            self._session.screen.progress("importing", total) as advance,
        ):
            for lines in _batched(self._lines(), PER_CHANGE):
                try:
                    revision = self._write(lines, texts)
                except (PolicyServiceError, OSError, KeyboardInterrupt) as error:
                    raise _stopped(lines[0].number, done, error) from None
                done = lines[-1].number
                advance(len(lines))
        return revision

    def _lines(self) -> Iterator[Line]:
        return (line for line in read_lines(self._file) if line.number >= self._from_line)

    def _size(self) -> int:
        try:
            return self._file.stat().st_size
        except OSError:
            return 0  # reading it will tell

    def _check(self, lines: Sequence[Line], checked: Checked, seen: dict[str, int]) -> None:
        readable = [line for line in lines if isinstance(line.key, KeyToImport)]
        keys = [line.key for line in readable if isinstance(line.key, KeyToImport)]
        found = self._administration.check_import(self._session.environment.local_caller, self._workspace, keys)
        wrong = {readable[index].number: error for index, error in found.items()}
        for line in lines:
            error = line.key if isinstance(line.key, RequestError) else wrong.get(line.number) or _repeated(line, seen)
            if error is not None:
                checked.add(line.number, error)
            elif isinstance(line.key, KeyToImport) and line.key.hashed is not None:
                checked.hashed += 1
            else:
                checked.new += 1

    def _write(self, lines: Sequence[Line], texts: IO[str]) -> int:
        keys = [_readable(line) for line in lines]
        minted = self._administration.mint(self._workspace, keys)
        # On disk before the keys exist: no key whose secret nobody has.
        _write_texts(lines, minted, texts)
        note = f"import of {self._file.name}, lines {lines[0].number} to {lines[-1].number}"
        caller = self._session.environment.local_caller
        return self._administration.commit_import(caller, self._workspace, minted, note=note).revision


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def _repeated(line: Line, seen: dict[str, int]) -> RequestError | None:
    """An id that stood on an earlier line."""
    if not isinstance(line.key, KeyToImport) or line.key.hashed is None:
        return None
    first = seen.setdefault(line.key.hashed.key_id, line.number)
    if first == line.number:
        return None
    return RequestError("conflict", f"the key of line {first} has the same id `{line.key.hashed.key_id}`")


def _readable(line: Line) -> KeyToImport:
    if isinstance(line.key, RequestError):
        raise line.key  # it was readable when it was checked
    return line.key


def _output(path: Path | None) -> IO[str]:
    """The file for the new keys: made just now, mode 0600. Nothing is kept where there are none."""
    if path is None:
        return open(os.devnull, "w", encoding="ascii")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError("unwritable_output", f"`{path}` exists; name a file that does not") from None
    except OSError as error:
        reason = (error.strerror or "input or output failed").lower()
        raise UsageError("unwritable_output", f"cannot write `{path}`: {reason}") from None
    return os.fdopen(descriptor, "w", encoding="ascii")


def _write_texts(lines: Sequence[Line], minted: Sequence[Minted], texts: IO[str]) -> None:
    rows = [
        json.dumps({"line": line.number, "id": made.api_key.id, "key": made.text}) + "\n"
        for line, made in zip(lines, minted, strict=True)
        if made.text is not None
    ]
    if rows:
        texts.writelines(rows)
        texts.flush()
        os.fsync(texts.fileno())


def _stopped(line: int, done: int, error: BaseException) -> UsageError:
    reason = error.message if isinstance(error, PolicyServiceError) else "interrupted"
    if isinstance(error, OSError):
        reason = f"the new keys cannot be written: {(error.strerror or 'input or output failed').lower()}"
    so_far = f"everything up to line {done} is imported" if done else "nothing is imported"
    return UsageError(
        "import_stopped",
        f"stopped at line {line}: {reason}; {so_far}; go on with `--from-line {line}` and another `--out`",
    )


def _show_checked(session: Session, file: Path, checked: Checked, as_json: bool) -> int:
    if as_json:
        session.screen.json(
            {"ok": not checked.wrong, **_counts(checked), "mistakes": msgspec.to_builtins(checked.mistakes)}
        )
        return NO if checked.wrong else 0
    for mistake in checked.mistakes:
        session.screen.line(f"{file}:{mistake.line}: {mistake.message} [{mistake.code}]")
    if checked.wrong > len(checked.mistakes):
        session.screen.line(f"… and {checked.wrong - len(checked.mistakes)} more")
    good = f"{checked.new} new and {checked.hashed} hashed keys are good"
    told = f"{checked.wrong} lines are wrong, {good}" if checked.wrong else good
    session.screen.line(f"{told}; nothing was written")
    return NO if checked.wrong else 0


def _show_done(session: Session, checked: Checked, revision: int, out: Path | None, as_json: bool) -> None:
    if as_json:
        written = str(out) if checked.new else None
        session.screen.json({"ok": True, **_counts(checked), "mistakes": [], "revision": revision, "out": written})
        return
    session.screen.line(f"imported {checked.new} new and {checked.hashed} hashed keys (revision {revision})")
    if checked.new:
        session.screen.note(f"the new keys are in {out}, and nowhere else: hand them out, then delete it")


def _counts(checked: Checked) -> dict[str, Any]:
    return {"new": checked.new, "hashed": checked.hashed, "wrong": checked.wrong}
