"""`policy lint`: everything that is allowed in rule files and yet hardly meant, and mending what can be mended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from policy_service.analysis.lint.catalogue import lint_networks, lint_roles, lint_scopes
from policy_service.analysis.lint.conditions import lint_conditions, lint_unread, placed_conditions
from policy_service.analysis.lint.documents import Documents
from policy_service.analysis.lint.findings import CODES, PROVED, Edit, Finding, Findings
from policy_service.analysis.lint.meaning import same_meaning
from policy_service.analysis.lint.rules import lint_checks, lint_rules
from policy_service.analysis.lint.silence import silenced
from policy_service.language.load import load
from policy_service.language.policy import Policy
from policy_service.model.spans import Diagnostic, Span


class Proved(msgspec.Struct, frozen=True):
    """What a solver found out about one rule or condition check.

    Args:
        code: one of CODES.
        place: the rule's or check's `span`.
    """

    code: str
    message: str
    place: Span


class Proofs(msgspec.Struct, frozen=True):
    """What came of looking for proofs.

    Args:
        undecided: names of rules and checks of which something is not known; about them nothing is found.
        bounds: what proofs did not look at, where that is why; else the time was not enough.
    """

    found: tuple[Proved, ...]
    undecided: tuple[str, ...] = ()
    bounds: tuple[str, ...] = ()


class Prover(Protocol):
    """Finds what takes a proof: rules that never decide, conditions that are always the same."""

    def prove(self, policy: Policy) -> Proofs:
        """Everything it could prove, and what it could not decide."""


def lint(files: Mapping[str, str], policy: Policy, proofs: Proofs | None = None) -> tuple[Finding, ...]:
    """The findings that nobody silenced, in reading order.

    Args:
        files: the rule files, tests among them; their facts count as uses of a value.
        policy: what they mean.
        proofs: None where nobody looked for any.
    """
    documents, found = Documents(files), Findings()
    conditions = placed_conditions(documents, policy)
    lint_scopes(documents, policy, found)
    lint_roles(documents, policy, found)
    lint_networks(documents, [one.condition for one in conditions], found)
    lint_checks(documents, policy, found)
    lint_rules(documents, policy, found)
    lint_conditions(documents, policy, conditions, found)
    lint_unread(documents, policy, conditions, found)
    proved = [] if proofs is None else [_finding(one) for one in proofs.found]
    unknown = PROVED if proofs is None or proofs.undecided else frozenset[str]()
    left = silenced([*found.sorted(), *proved], files, unknown=unknown)
    return tuple(sorted(left, key=lambda one: one.diagnostic.sort_key()))


def _finding(proved: Proved) -> Finding:
    assert proved.code in CODES, proved.code
    return Finding(Diagnostic(proved.code, proved.message, proved.place, "$", "warning"))


def fix(files: Mapping[str, str], policy: Policy) -> dict[str, str]:
    """The rule files with everything mended that can be, again and again until nothing is left.

    INVARIANT: they mean the same as before (test_lint: fixes change no decision).

    Returns:
        the files that differ, by name.
    """
    texts = dict(files)
    for _round in range(20):
        edited = _edited(texts, lint(texts, policy))
        mended = {**texts, **edited}
        after = load(mended).policy if edited else None
        if after is None or not same_meaning(policy, after):
            break
        texts, policy = mended, after
    return {file: text for file, text in texts.items() if text != files[file]}


def _edited(files: Mapping[str, str], found: Iterable[Finding]) -> dict[str, str]:
    """Each file with the edits that do not overlap."""
    by_file: dict[str, list[Edit]] = {}
    for finding in found:
        if finding.fix is not None:
            by_file.setdefault(finding.diagnostic.span.file, []).append(finding.fix)
    return {file: _apply(files[file], edits) for file, edits in by_file.items()}


def _apply(text: str, edits: list[Edit]) -> str:
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    parts, at, bare = [mark], 0, text.removeprefix("\ufeff")
    for edit in sorted(edits):
        if edit.start >= at:
            parts += [bare[at : edit.start], edit.text]
            at = edit.end
    return "".join([*parts, bare[at:]])
