"""`policy fmt`: one layout for all files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit.cli.terminal import Terminal
from tests.unit.language.folders import SHIPPED


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped policies, to be changed."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "policies"))


def test_the_shipped_files_are_laid_out(terminal: Terminal, folder: Path) -> None:
    """Nothing to do, exit code 0."""
    printed = terminal.run("policy", "fmt", folder, "--check")
    assert (printed.code, printed.out) == (0, f"{folder}: all laid out\n")


def test_check_names_the_files_and_writes_nothing(terminal: Terminal, folder: Path) -> None:
    """Exit code 1, for CI."""
    path = folder / "networks.yaml"
    rough = path.read_text().replace("  vpn: [", "\n\n  vpn:   [ ")
    path.write_text(rough)
    printed = terminal.run("policy", "fmt", folder, "--check")
    assert printed.code == 1
    assert printed.out == f"{path}\n{folder}: 1 file would be laid out anew\n"
    assert path.read_text() == rough


def test_files_are_written_with_their_comments(terminal: Terminal, folder: Path) -> None:
    """A second time there is nothing to do; the digest stays."""
    before = terminal.run("policy", "check", folder, "--json").json["digest"]
    path = folder / "resources/pipeline.yaml"
    path.write_text(path.read_text().replace("rules:\n", "rules:\n\n\n").replace("\n", "\r\n"))
    printed = terminal.run("policy", "fmt", folder, "--json")
    assert (printed.code, printed.json["changed"]) == (0, ["resources/pipeline.yaml"])
    assert terminal.run("policy", "fmt", folder, "--check").code == 0
    assert path.read_text() == (SHIPPED / "resources/pipeline.yaml").read_text()
    assert terminal.run("policy", "check", folder, "--json").json["digest"] == before


def test_what_cannot_be_read_is_told_and_left(terminal: Terminal, folder: Path) -> None:
    """The others are laid out all the same."""
    (folder / "tests/keys.yaml").write_text("tests: [\n")
    (folder / "networks.yaml").write_text("networks:   {}\n")
    printed = terminal.run("policy", "fmt", folder)
    assert printed.code == 1
    assert f"{folder}/tests/keys.yaml:2:1: " in printed.out
    assert "1 file was laid out anew" in printed.out
    assert (folder / "networks.yaml").read_text() == "networks: {}\n"
    assert (folder / "tests/keys.yaml").read_text() == "tests: [\n"
