"""What `verify` finds: each with a stable code, its place, a sentence for an auditor, and what to do about it.

| code | when |
|---|---|
| `record_altered` | a line is not the one whose hash was kept when it was written |
| `record_removed`, `record_inserted`, `record_moved` | the same, where the hashes tell more |
| `records_missing` | a segment ends before the last record that was vouched for |
| `record_duplicate` | two records have one decision id |
| `record_malformed`, `record_not_canonical`, `unknown_schema` | a line past the last checkpoint is no record of ours |
| `record_of_other_facts` | it stands on a change that is not in this store: it came from elsewhere |
| `segment_missing`, `segment_damaged` | a file is gone, or its compression is damaged from that record on |
| `root_differs` | records are not those that were signed for, and their hashes were altered with them |
| `hashes_altered` | the records are those that were signed for, but their kept hashes are not |
| `checkpoint_unreadable`, `checkpoint_forged` | it is no checkpoint; no known key has signed it, or not this text |
| `checkpoint_foreign` | it is of another shard than its file's name says, or of another log |
| `checkpoint_missing` | a closed shard, or one that others vouch for, has none |
| `checkpoint_contradicted` | two checkpoints cannot both be true |
| `shard_missing`, `shard_foreign` | the facts know a shard whose files are not here; files of one they do not know |
| `shards_rewritten` | the facts know other shards than when a checkpoint was signed |
| `change_altered`, `chain_differs` | the feed of changes is broken; it is not the one that a checkpoint vouches for |
| `facts_rewritten` | a row of the facts' tables is not what the changes made it |
| `bundle_missing`, `bundle_altered` | a published bundle is gone, or has another digest |
| `torn_line`, `tail_uncovered`, `shard_unclosed` | no failure: a crash, or a server that is running |
| `hashes_missing`, `records_expired`, `facts_unchecked` | no failure: what could not be looked at |
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

Severity = Literal["error", "notice"]

NOTICES: Final = frozenset(
    {"torn_line", "tail_uncovered", "shard_unclosed", "hashes_missing", "records_expired", "facts_unchecked"}
)

_RESTORE: Final = "compare with the auditor's or the archive's copy; keep this one as evidence"
REMEDIES: Final[dict[str, str]] = {
    "record_duplicate": "ask who copied records: an honest ledger has each decision once",
    "record_malformed": "nobody vouches for it yet; find out who wrote to the file besides the service",
    "record_not_canonical": "nobody vouches for it yet; find out who wrote to the file besides the service",
    "unknown_schema": "verify with the newer policy-service that wrote it",
    "record_of_other_facts": "find out from which installation it was copied",
    "hashes_altered": "the records are good: remove the file, and keep it as evidence",
    "checkpoint_unreadable": "compare with the copy that left the machine",
    "checkpoint_forged": "give the log's verifier keys with `--public-key`; if they were right, it is a forgery",
    "checkpoint_foreign": "find out from which ledger it was copied",
    "checkpoint_missing": "restore it from where checkpoints are sent, or from an auditor's copy",
    "checkpoint_contradicted": "one of them was made by somebody with the key; ask who had it",
    "shard_missing": "restore its files from the archive",
    "shard_foreign": "take its files out of the folder; they are verified with their own data directory",
    "change_altered": "restore the store from a backup, and compare",
    "chain_differs": "restore the store from a backup of that time, and compare",
    "facts_rewritten": "restore the store from a backup; decisions follow the changes, and were not misled",
    "shards_rewritten": "restore the store from a backup of that time, and compare",
    "bundle_missing": "restore the store from a backup: its decisions cannot be replayed without it",
    "bundle_altered": "restore the store from a backup: its decisions cannot be replayed without it",
    "torn_line": "nothing: a crash cut it off before it was answered, or it is being written",
    "tail_uncovered": "nothing: the next checkpoint will cover them",
    "shard_unclosed": "nothing: the next server on this data directory closes it",
    "hashes_missing": "nothing: the records are good; a first bad one could not be named exactly",
    "records_expired": "nothing, if that was how long records are kept; the archive has them otherwise",
    "facts_unchecked": "name the data directory, or its database, to verify changes, bundles and shards too",
}


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is not as it should be, or that an auditor should know.

    Args:
        line: of the uncompressed file, from 1. number: of the record in its shard, from 1.
        record: its decision id, where it can be told.
    """

    code: str
    message: str
    severity: Severity
    remedy: str
    shard: str | None = None
    file: str | None = None
    line: int | None = None
    number: int | None = None
    record: str | None = None

    def place(self) -> str:
        """Where it is, as an editor would open it."""
        where = self.file or self.shard or "ledger"
        return where if self.line is None else f"{where}:{self.line}"


def finding(code: str, message: str, *, file: Path | str | None = None, **place: Any) -> Finding:
    """A finding with its severity and remedy."""
    severity: Severity = "notice" if code in NOTICES else "error"
    name = file.name if isinstance(file, Path) else file
    return Finding(
        code=code, message=message, severity=severity, remedy=REMEDIES.get(code, _RESTORE), file=name, **place
    )


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first; then by shard, record, file and code: the first bad record of a shard stands first."""
    return sorted(
        findings,
        key=lambda one: (
            one.severity,
            one.shard or "",
            one.number if one.number is not None else 1 << 63,
            one.file or "",
            one.code,
            one.message,
        ),
    )
