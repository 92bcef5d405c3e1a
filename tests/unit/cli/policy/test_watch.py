"""A watched folder is looked at again after every change."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from policy_service.cli.policy.watch import watch_folder
from policy_service.cli.shared.screen import Screen
from policy_service.model.errors import UsageError
from policy_service.service.policies.policy_folder import folder_state


def run(path: Path, steps: list[Callable[[], object]], look: Callable[[], object], screen: Screen) -> None:
    """Watch while `steps` happen between two looks; then Ctrl-C."""
    remaining = iter(steps)

    def sleep(_seconds: float) -> None:
        step = next(remaining, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    watch_folder(path, look, screen, sleep)


def silent() -> Screen:
    """A screen nobody looks at."""
    return Screen(io.StringIO(), io.StringIO())


def test_a_change_an_addition_and_a_removal_are_each_looked_at(tmp_path: Path) -> None:
    """And nothing is looked at twice."""
    file = tmp_path / "chain.yaml"
    file.write_text("a")
    looks: list[int] = []
    steps: list[Callable[[], object]] = [
        lambda: None,
        lambda: file.write_text("longer"),
        lambda: None,
        lambda: (tmp_path / "roles.yaml").write_text("b"),
        file.unlink,
    ]
    run(tmp_path, steps, lambda: looks.append(len(looks)), silent())
    assert looks == [0, 1, 2, 3]


def test_files_that_editors_make_are_passed_over(tmp_path: Path) -> None:
    """Swap files and locks come and go while somebody types."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "index").write_text("x")
    (tmp_path / ".chain.yaml.swp").write_text("x")
    (tmp_path / "chain.yaml").write_text("x")
    assert list(folder_state(tmp_path)) == ["chain.yaml"]


def test_a_folder_that_goes_away_is_told_and_waited_for(tmp_path: Path) -> None:
    """A checkout of another branch must not end the watch."""
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "chain.yaml").write_text("x")
    err = io.StringIO()
    looks: list[bool] = []

    def look() -> None:
        if not folder.is_dir():
            raise UsageError("missing_folder", "there is no folder")
        looks.append(True)

    def vanish() -> None:
        (folder / "chain.yaml").unlink()
        folder.rmdir()

    def return_() -> None:
        folder.mkdir()
        (folder / "chain.yaml").write_text("y")

    run(folder, [vanish, return_], look, Screen(io.StringIO(), err))
    assert looks == [True, True]
    assert err.getvalue() == "error: there is no folder [missing_folder]\n"
