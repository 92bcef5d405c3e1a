"""Reading rule files from a folder, whatever lies there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from policy_service.model.errors import PolicyErrors, UsageError
from policy_service.service.policies import policy_folder
from policy_service.service.policies.policy_folder import load_folder, read_folder, scan_folder, shipped_folder
from tests.unit.service.house import RULE_FILES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in RULE_FILES.items():
        path = tmp_path / "policies" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "policies"


def test_rule_files_are_read_by_relative_path(folder: Path) -> None:
    """Notes, hidden files and folders, and other kinds are passed over."""
    (folder / "README.md").write_text("notes")
    (folder / ".hidden.yaml").write_text("a: [")
    (folder / ".schemas").mkdir()
    (folder / ".schemas" / "chain.yaml").write_text("a: [")
    assert read_folder(folder) == RULE_FILES
    assert load_folder(folder).policy is not None


def test_a_strange_yaml_file_is_the_languages_to_judge(folder: Path) -> None:
    """It is read, so that it can be told of."""
    (folder / "chains.yml").write_text("chain: []")
    assert "chains.yml" in read_folder(folder)
    assert [d.code for d in load_folder(folder).diagnostics] == ["unknown-file"]


def test_symbolic_links_are_followed_and_loops_end(folder: Path) -> None:
    """Files and folders may be links, as configuration volumes make them; a loop ends at the depth bound."""
    os.rename(folder / "chain.yaml", folder.parent / "elsewhere.yaml")
    (folder / "chain.yaml").symlink_to(folder.parent / "elsewhere.yaml")
    os.rename(folder / "resources", folder.parent / "moved")
    (folder / "resources").symlink_to(folder.parent / "moved")
    assert read_folder(folder) == RULE_FILES
    (folder / "resources" / "loop").symlink_to(folder)
    assert set(RULE_FILES) < set(read_folder(folder))


def test_what_is_not_utf_8_is_told_with_its_place_beside_all_other_mistakes(folder: Path) -> None:
    """Line and column of the first bad byte; the files that can be read are judged as well."""
    (folder / "roles.yaml").write_bytes("roles:\n  ü: \xff".encode("latin-1").replace(b"\xfc", "ü".encode()))
    (folder / "resources" / "pipeline.yaml").write_text("resource: other\n")
    loaded = load_folder(folder)
    assert loaded.policy is None
    by_file = {d.span.file: d for d in loaded.diagnostics}
    assert by_file["roles.yaml"].code == "not-utf-8"
    assert (by_file["roles.yaml"].span.line, by_file["roles.yaml"].span.column) == (2, 6)
    assert "resources/pipeline.yaml" in by_file
    with pytest.raises(PolicyErrors) as raised:
        read_folder(folder)
    assert [d.code for d in raised.value.diagnostics] == ["not-utf-8"]


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    """Opening one would hang."""
    os.mkfifo(folder / "networks.yaml")
    assert [d.code for d in load_folder(folder).diagnostics] == ["unreadable-file"]


def test_an_unreadable_or_huge_file_is_a_diagnostic(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dangling link, and a file past the bound."""
    (folder / "roles.yaml").unlink()
    (folder / "roles.yaml").symlink_to(folder / "nowhere")
    (folder / "networks.yaml").write_text("#" * 5000)
    monkeypatch.setattr(policy_folder, "MAX_FILE_BYTES", 4999)
    codes = {d.span.file: d.code for d in scan_folder(folder).diagnostics}
    assert codes == {"roles.yaml": "unreadable-file", "networks.yaml": "file-too-large"}


@pytest.mark.parametrize(("name", "value"), [("MAX_FILES", 3), ("MAX_TOTAL_BYTES", 100)])
def test_a_folder_past_the_bounds_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    """Somebody named the wrong folder."""
    monkeypatch.setattr(policy_folder, name, value)
    with pytest.raises(UsageError) as raised:
        scan_folder(folder)
    assert raised.value.code == "folder_too_large"


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    """So is a file in its place."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(UsageError) as raised:
            scan_folder(path)
        assert raised.value.code == "missing_folder"


def test_a_folder_that_cannot_be_listed_is_a_usage_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the operating system says is passed on in its words."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(policy_folder.os, "scandir", refuse)
    with pytest.raises(UsageError, match="permission denied") as raised:
        scan_folder(folder)
    assert raised.value.code == "unreadable_folder"


def test_the_shipped_folder_is_found_in_a_checkout_and_in_a_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the package, or inside it; without either the remedy is named."""
    assert (shipped_folder() / "chain.yaml").is_file()
    package = tmp_path / "site" / "policy_service"
    (package / "shipped" / "policies").mkdir(parents=True)
    monkeypatch.setattr(policy_folder.policy_service, "__file__", str(package / "__init__.py"))
    with pytest.raises(UsageError, match="--policies") as raised:
        shipped_folder()
    assert raised.value.code == "missing_folder"
    (package / "shipped" / "policies" / "chain.yaml").write_text("")
    assert shipped_folder() == package / "shipped" / "policies"


def test_the_shipped_rule_files_load_without_a_word() -> None:
    """No error and no warning: they are what authors start from."""
    loaded = load_folder(shipped_folder())
    assert loaded.diagnostics == ()
    assert loaded.policy is not None
