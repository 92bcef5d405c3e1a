"""Real file systems that are full, and limits that are met: caused, not pretended."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "256k") -> Iterator[Path]:
    """A file system of its own, that small, mounted on the folder. Skips where this user may not mount."""
    folder.mkdir(mode=0o700, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    """Make a mounted file system read-only (`ro`), writable again (`rw`) or larger (`size=…`)."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def fill(folder: Path, *, leave: int = 0) -> Path:
    """Take all the space that is left but for so many bytes; the file that holds it."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    if leave:
        os.truncate(ballast, max(ballast.stat().st_size - leave, 0))
    return ballast


def set_immutable(paths: Iterable[Path], *, immutable: bool = True) -> None:
    """Have the system refuse every write to these files and folders, of root and through open descriptors too."""
    flag = "+i" if immutable else "-i"
    done = subprocess.run(["chattr", flag, *map(str, paths)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder and all of its files refuse every write, as a disk does that its system has turned read-only."""
    # The folder first: then no file can come or go. And once: ext4 refuses to be told again of a large one.
    set_immutable([folder])
    files = list(folder.iterdir())
    try:
        set_immutable(files)
        yield
    finally:
        set_immutable([folder, *files], immutable=False)


def skip_unless_immutable(folder: Path) -> None:
    """Skip where this user or this file system cannot make files immutable."""
    probe = folder / "probe"
    probe.touch()
    done = subprocess.run(["chattr", "+i", str(probe)], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        set_immutable([probe], immutable=False)
    probe.unlink()
    if done.returncode != 0:
        pytest.skip(f"files cannot be made immutable here: {done.stderr}")


def open_files_can_be_refused(folder: Path) -> bool:
    """Whether an immutable file refuses writes through a descriptor that was open before: ext4 does, tmpfs does not."""
    skip_unless_immutable(folder)
    probe = folder / "probe"
    with probe.open("ab", buffering=0) as file:
        set_immutable([probe])
        try:
            file.write(b"x")
        except PermissionError:
            return True
        else:
            return False
        finally:
            set_immutable([probe], immutable=False)
            probe.unlink()


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow past this size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
