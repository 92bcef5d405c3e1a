"""The tests in a folder of rule files, read together with the policy they are about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from policy_service.language.load import load
from policy_service.language.policy import Policy
from policy_service.language.suite.additions import with_entries
from policy_service.language.suite.load import FOLDER, SHARED, has_tests, load_suite
from policy_service.language.suite.suite import SuiteTest
from policy_service.model.errors import UsageError
from policy_service.model.spans import Diagnostic
from policy_service.service.policies.policy_files import begin_file, replace_file
from policy_service.service.policies.policy_folder import SUFFIXES, scan_folder


class FolderSuite(msgspec.Struct, frozen=True):
    """What one look at a folder found.

    Args:
        policy: None if the rule files, or the test files, have errors: then there is nothing to run.
        diagnostics: of rule files and test files alike, in reading order; files are relative to the folder.
    """

    folder: Path
    files: dict[str, str]
    policy: Policy | None
    tests: tuple[SuiteTest, ...]
    diagnostics: tuple[Diagnostic, ...]


def read_suite(path: Path, *, may_be_empty: bool = False) -> FolderSuite:
    """Read the rule files of a folder and their tests.

    Args:
        may_be_empty: there need not be a test yet.

    Raises:
        UsageError: `no_tests`, and as `scan_folder` does.
    """
    folder = scan_folder(path)
    if not has_tests(folder.files) and not folder.diagnostics and not may_be_empty:
        where = (path / "tests").as_posix()
        raise UsageError("no_tests", f"there is no test file in `{where}`; the authors' guide shows how to write one")
    loaded = load(folder.files)
    if loaded.policy is None or folder.diagnostics:
        return FolderSuite(path, folder.files, None, (), _sorted(folder.diagnostics, loaded.diagnostics))
    suite = load_suite(folder.files, loaded.policy)
    found = _sorted(loaded.diagnostics, suite.diagnostics)
    if suite.has_errors():
        return FolderSuite(path, folder.files, None, (), found)
    return FolderSuite(path, folder.files, loaded.policy, suite.tests, found)


def test_file_named(folder: Path, named: Path) -> str:
    """The name of a test file as rule files know it: `tests/gaps.yaml`, given as a path or as the file's name alone.

    Raises:
        UsageError: `usage`: tests do not stand there.
    """
    place = folder / FOLDER / named if named.parent == Path() else named
    inside = place.resolve().relative_to(folder.resolve()) if place.resolve().is_relative_to(folder.resolve()) else None
    file = "" if inside is None else inside.as_posix()
    if not file.startswith(FOLDER) or not file.endswith(SUFFIXES) or file == SHARED:
        where = (folder / FOLDER).as_posix()
        raise UsageError("usage", f"`{named}` is no test file of these rules; name one such as `{where}/gaps.yaml`")
    return file


test_file_named.__test__ = False  # type: ignore[attr-defined]  # pytest takes the name for a test


def add_tests(suite: FolderSuite, file: str, entries: Sequence[str]) -> None:
    """Write new tests into a test file, after those that it has; a new file is begun.

    Raises:
        UsageError: `unusual_layout`, `unwritable`.
    """
    assert suite.policy is not None
    text = with_entries(suite.files, file, entries, suite.policy)
    path = suite.folder / file
    if text is None:
        raise UsageError("unusual_layout", f"`{path}` is laid out too unusually to add tests to; name another file")
    if file in suite.files:
        replace_file(path, text)
    else:
        begin_file(path, text)


def _sorted(*found: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    return tuple(sorted((one for some in found for one in some), key=Diagnostic.sort_key))
