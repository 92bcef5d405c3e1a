"""Reading rule files from a folder. The language itself reads no files: it is given their text."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

import policy_service
from policy_service.language.load import Loaded, load
from policy_service.language.memory import Memory
from policy_service.model.errors import PolicyErrors, UsageError
from policy_service.model.spans import Diagnostic, Span

SUFFIXES: Final = (".yaml", ".yml")
MAX_FILE_BYTES: Final = 1 << 20
MAX_TOTAL_BYTES: Final = 16 << 20
MAX_FILES: Final = 2000
MAX_DEPTH: Final = 4


class Folder(msgspec.Struct, frozen=True):
    """The rule files of a folder: text by relative path with `/`, and a diagnostic for each that cannot be read."""

    files: dict[str, str]
    diagnostics: tuple[Diagnostic, ...]


def scan_folder(path: Path) -> Folder:
    """Read every YAML file below `path`; hidden files and folders are passed over, symbolic links followed.

    Raises:
        UsageError: `missing_folder`, `unreadable_folder`, `folder_too_large`.
    """
    if not path.is_dir():
        raise UsageError("missing_folder", f"there is no folder `{path}`")
    files: dict[str, str] = {}
    diagnostics: list[Diagnostic] = []
    total = 0
    for relative in _names(path):
        content = _read(path / relative, relative)
        if isinstance(content, str):
            files[relative] = content
            total += len(content)
        else:
            diagnostics.append(content)
        if len(files) > MAX_FILES or total > MAX_TOTAL_BYTES:
            raise UsageError(
                "folder_too_large",
                f"`{path}` holds more than {MAX_FILES} rule files or {MAX_TOTAL_BYTES >> 20} MiB of them; "
                "name the folder of the rule files alone",
            )
    return Folder(files, tuple(diagnostics))


def read_folder(path: Path) -> dict[str, str]:
    """The rule files of a folder.

    Raises:
        UsageError: as `scan_folder` does.
        PolicyErrors: files that cannot be read, all of them.
    """
    folder = scan_folder(path)
    if folder.diagnostics:
        raise PolicyErrors(folder.diagnostics)
    return folder.files


def load_folder(path: Path, memory: Memory | None = None) -> Loaded:
    """Load the policy of a folder; what cannot be read stands among the diagnostics. Raises as `scan_folder` does.

    Args:
        memory: of the last look at the same folder, which makes the next one quick.
    """
    folder = scan_folder(path)
    loaded = load(folder.files, memory)
    if not folder.diagnostics:
        return loaded
    everything = sorted((*folder.diagnostics, *loaded.diagnostics), key=Diagnostic.sort_key)
    return Loaded(policy=None, diagnostics=tuple(everything))


def shipped_folder() -> Path:
    """The rule files that come with the service: `policies/` in a checkout, or inside an installed package."""
    package = Path(policy_service.__file__).parent
    for folder in (package / "shipped" / "policies", package.parent / "policies"):
        if (folder / "chain.yaml").is_file():
            return folder
    raise UsageError("missing_folder", "the shipped rule files are not installed; name a folder with `--policies`")


State = dict[str, tuple[int, ...]]


def folder_state(path: Path) -> State:
    """What tells one moment of a folder from another without reading it: cheap, so that it can be looked at often.

    Of each rule file times, size and identity, all of which a save changes some of; nothing for a folder that is not
    there.
    """
    state: State = {}
    try:
        for relative in _names(path):
            with contextlib.suppress(OSError):  # saved over or deleted meanwhile: the next look sees it
                found = (path / relative).stat()
                state[relative] = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
    except UsageError:
        return {}
    return state


def _names(root: Path) -> Iterator[str]:
    """Relative paths of the rule files, sorted within each folder."""

    def fail(error: OSError) -> None:
        raise UsageError("unreadable_folder", f"cannot read `{error.filename}`: {_reason(error)}") from None

    for folder, folders, names in os.walk(root, followlinks=True, onerror=fail):
        here = Path(folder).relative_to(root)
        deeper = len(here.parts) < MAX_DEPTH - 1
        # Pruned in place, as os.walk wants it; the depth also ends loops of symbolic links.
        folders[:] = sorted(name for name in folders if deeper and not name.startswith("."))
        for name in sorted(names):
            if name.endswith(SUFFIXES) and not name.startswith("."):
                yield (here / name).as_posix()


def _read(path: Path, relative: str) -> str | Diagnostic:
    if path.exists() and not path.is_file():
        # A pipe would be waited for, for ever.
        return Diagnostic("unreadable-file", "is no regular file; remove it", Span(relative))
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        return Diagnostic("unreadable-file", f"cannot be read: {_reason(error)}", Span(relative))
    if len(content) > MAX_FILE_BYTES:
        return Diagnostic("file-too-large", f"is larger than {MAX_FILE_BYTES >> 20} MiB; split it", Span(relative))
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        return Diagnostic("not-utf-8", "is not UTF-8 text; save it as UTF-8", _span(relative, content, error.start))


def _span(relative: str, content: bytes, offset: int) -> Span:
    before = content[:offset].decode()
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    return Span(relative, line, column, line, column + 1)


def _reason(error: OSError) -> str:
    return (error.strerror or "input or output failed").lower()
