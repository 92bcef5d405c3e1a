"""The tests in a folder of rule files, read together with the policy they are about."""

from __future__ import annotations

from pathlib import Path

import msgspec

from policy_service.language.load import load
from policy_service.language.policy import Policy
from policy_service.language.suite.load import has_tests, load_suite
from policy_service.language.suite.suite import SuiteTest
from policy_service.model.errors import UsageError
from policy_service.model.spans import Diagnostic
from policy_service.service.policies.policy_folder import scan_folder


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


def read_suite(path: Path) -> FolderSuite:
    """Read the rule files of a folder and their tests.

    Raises:
        UsageError: `no_tests`, and as `scan_folder` does.
    """
    folder = scan_folder(path)
    if not has_tests(folder.files) and not folder.diagnostics:
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


def _sorted(*found: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    return tuple(sorted((one for some in found for one in some), key=Diagnostic.sort_key))
