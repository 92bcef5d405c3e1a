"""Where rule files come from: a folder, a published bundle by its digest, or a git revision (`git:REV[:DIR]`)."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from policy_service.cli.policy.folder import chosen_folder
from policy_service.cli.policy.store import PREFIX, stored_files
from policy_service.cli.shared.environment import Session
from policy_service.model.errors import UsageError
from policy_service.service.policies.policy_folder import SUFFIXES, read_folder

_GIT: Final = "git:"


def source_files(session: Session, source: str, data_dir: Path | None, url: str | None) -> dict[str, str]:
    """The rule files that a source names.

    Raises:
        UsageError: there is no such folder, bundle or revision.
        PolicyErrors: files that cannot be read.
    """
    if source.startswith(_GIT):
        return _at_revision(source.removeprefix(_GIT))
    if PREFIX.fullmatch(source):
        return stored_files(session, source, data_dir, url)
    return read_folder(Path(source))


def _at_revision(text: str) -> dict[str, str]:
    """The files of `REV` or `REV:DIR`, as git has them; DIR is seen from here."""
    revision, _, folder = text.partition(":")
    path = Path(folder) if folder else chosen_folder(None)
    if revision.startswith("-") or not path.is_dir():
        raise UsageError("no_such_revision", f"`git:{text}` is no revision of a folder; write `git:HEAD~1:policies`")
    # Run in the folder itself, git archives what is below it, by paths relative to it.
    command = ["git", "archive", "--format=tar", revision]
    try:
        answer = subprocess.run(command, cwd=path, capture_output=True, check=True)  # noqa: S603 - no shell; a revision
    except FileNotFoundError:
        raise UsageError("no_git", "git is not installed; name folders instead") from None
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise UsageError("no_such_revision", f"git has no `{text}`: {''.join(last)}") from None
    return _texts(answer.stdout)


def _texts(archive: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            hidden = any(part.startswith(".") for part in Path(member.name).parts)
            if file is not None and not hidden and member.name.endswith(SUFFIXES):
                found[member.name] = file.read().decode("utf-8", errors="replace")
    return found
