"""Verify a data directory: its ledger, and the facts that the ledger stands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from policy_service.language.load import load_policy
from policy_service.ledger.evidence import Vouched
from policy_service.ledger.findings import Finding, finding, in_order
from policy_service.ledger.notes import Verifier
from policy_service.ledger.shard_facts import ShardFacts
from policy_service.ledger.verify import Progress, Scanners, Verified, gather, verify
from policy_service.model.canonical import canonical_text, sha256_hex
from policy_service.model.errors import PolicyErrors, StoreError
from policy_service.service.auditing.archive import Archive, StoreArchive
from policy_service.service.auditing.tables import Folded


def audit(
    folder: Path,
    verifiers: Sequence[Verifier],
    archive: Archive | None,
    *,
    kept: Sequence[Vouched] = (),
    progress: Progress = lambda _bytes, _records: None,
    helpers: Scanners | None = None,
) -> Verified:
    """Everything that can be verified, in one pass over the records and one over the changes.

    Args:
        folder: of the ledger.
        archive: the changes and bundles of the same data directory; None: they cannot be had.
        kept: checkpoints that an auditor kept elsewhere.
        helpers: that read segments beside each other; from `scanners`, made before the store was opened.

    Raises:
        StoreError: the folder cannot be listed; `helper_lost`.
    """
    evidence = gather(folder, verifiers, kept)
    if archive is None:
        return verify(evidence, None, progress=progress, helpers=helpers)
    folded = Folded()
    facts = ShardFacts(folded.through(archive.changes()), evidence.revisions())
    verified = verify(evidence, facts, progress=progress, helpers=helpers)
    # Where the changes break off, what they come to is not known; a pack has no tables.
    tables = folded.differences(archive) if isinstance(archive, StoreArchive) and not facts.findings else []
    findings = in_order([*verified.findings, *wrong_bundles(facts.bundles, archive), *tables])
    return msgspec.structs.replace(verified, findings=tuple(findings), bundles=len(facts.bundles))


def wrong_bundles(published: Mapping[str, str], archive: Archive) -> list[Finding]:
    """Bundles that are gone, or whose text is not what was published.

    Args:
        published: SHA-256 of the text, by digest.
    """
    found = []
    for digest, content_sha256 in sorted(published.items()):
        wrong = _wrong(digest, content_sha256, archive)
        if wrong is not None:
            code, told = wrong
            found.append(finding(code, f"bundle {digest} {told}", file="bundles"))
    return found


def _wrong(digest: str, content_sha256: str, archive: Archive) -> tuple[str, str] | None:
    """What is wrong with a bundle; None where nothing is."""
    try:
        files = archive.bundle_files(digest)
    except (StoreError, msgspec.MsgspecError, ValueError):
        return "bundle_altered", "cannot be read any more"
    if files is None:
        return "bundle_missing", "was published, and is not in the store"
    if sha256_hex(canonical_text(dict(files))) != content_sha256 or _digest(files) not in (None, digest):
        return "bundle_altered", "has other files than were published under that digest"
    return None


def _digest(files: Mapping[str, str]) -> str | None:
    """The digest of rule files; None where this version cannot read them, which is no sign that they were altered."""
    try:
        return load_policy(files).digest
    except PolicyErrors:
        return None
