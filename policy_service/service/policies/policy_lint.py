"""Linting a folder of rule files, and mending it in place."""

from __future__ import annotations

from pathlib import Path

import msgspec

from policy_service.analysis.lint.findings import Finding
from policy_service.analysis.lint.lint import Prover, fix, lint
from policy_service.language.load import load_policy
from policy_service.service.policies.policy_files import replace_file
from policy_service.service.policies.policy_folder import read_folder


class Linted(msgspec.Struct, frozen=True):
    """What was found, after `mended` files were written anew.

    Args:
        undecided: rules and checks of which it is not known whether there is something to be found.
        bounds: what proofs did not look at, where that is why; else the time was not enough.
    """

    folder: Path
    findings: tuple[Finding, ...]
    mended: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    bounds: tuple[str, ...] = ()


def lint_folder(path: Path, *, mend: bool, prover: Prover | None = None) -> Linted:
    """Lint the rule files of a folder.

    Args:
        mend: write what can be mended first.
        prover: None: what takes a proof is not looked for.

    Raises:
        PolicyErrors: they have errors: half a policy means nothing.
        UsageError: there is no folder, or a file cannot be written.
    """
    files = read_folder(path)
    mended = fix(files, load_policy(files)) if mend else {}
    for file, text in mended.items():
        replace_file(path / file, text)
    files |= mended
    policy = load_policy(files)
    proofs = None if prover is None else prover.prove(policy)
    undecided, bounds = (proofs.undecided, proofs.bounds) if proofs is not None else ((), ())
    return Linted(path, lint(files, policy, proofs), tuple(sorted(mended)), undecided, bounds)
