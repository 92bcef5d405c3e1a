"""Records copied out of a ledger: as lines, byte for byte, or as Parquet for whoever analyses them elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import zstandard

from policy_service.ledger.browsing import oldest_first
from policy_service.ledger.layout import contents
from policy_service.ledger.query import Wanted, finder
from policy_service.ledger.sql import opened
from policy_service.model.errors import UsageError

_BATCH: Final = 4096


def export_lines(folder: Path, out: Path, wanted: Wanted, advance: Callable[[int], object]) -> int:
    """Write the lines of the records that fit, by time; compressed where the name ends in `.zst`. How many.

    Raises:
        UsageError: `unwritable`; the file exists.
        StoreError: `ledger_unreadable`.
    """
    find, count = finder(wanted), 0
    with _target(out) as file:
        for seen in oldest_first(contents(folder)):
            if find(seen.text) is not None:
                file.write(seen.text + b"\n")
                count += 1
                if count % _BATCH == 0:
                    advance(_BATCH)
    return count


def export_parquet(folder: Path, out: Path, wanted: Wanted) -> int:
    """Write the view `decisions` of the records that fit as one Parquet file, by time. How many.

    Raises:
        UsageError: `no_duckdb`, `no_ledger`, `unwritable`.
    """
    if out.exists():
        raise _exists(out)
    duckdb, connection = opened([folder])
    where, values = _where(wanted)
    try:
        connection.execute(
            f"COPY (SELECT * FROM decisions{where} ORDER BY decided_at, id) "  # noqa: S608 - our own text, values apart
            f"TO '{str(out).replace(chr(39), chr(39) * 2)}' (FORMAT parquet, COMPRESSION zstd)",
            values,
        )
        row = connection.execute(f"SELECT count(*) FROM decisions{where}", values).fetchone()  # noqa: S608 - as above
    except duckdb.Error as error:
        raise UsageError("unwritable", f"cannot write `{out}`: {str(error).splitlines()[0]}") from None
    finally:
        connection.close()
    return 0 if row is None else int(row[0])


def _where(wanted: Wanted) -> tuple[str, list[object]]:
    """The filters in SQL."""
    kind, _, name = (wanted.principal or ":").partition(":")
    resource, _, resource_id = (wanted.resource or "").partition(":")
    terms: dict[str, object | None] = {
        "epoch_ns(decided_at) >= ?": wanted.since,
        "epoch_ns(decided_at) < ?": wanted.until,
        "workspace = ?": wanted.workspace,
        "key_id = ?": wanted.key,
        "principal_kind = ?": kind or None,
        "principal_id = ?": name or None,
        "scope = ?": wanted.scope,
        "resource_type = ?": resource or None,
        "resource_id = ?": resource_id or None,
        "decision = ?": wanted.decision,
        "reason = ?": wanted.reason,
        "rule = ?": wanted.rule,
        "? IN (caller, substr(caller, 5))": wanted.caller,
    }
    given = {term: value for term, value in terms.items() if value is not None}
    return (f" WHERE {' AND '.join(given)}" if given else ""), list(given.values())


@contextmanager
def _target(out: Path) -> Iterator[IO[bytes]]:
    try:
        with out.open("xb") as file:
            if out.suffix != ".zst":
                yield file
                return
            with zstandard.ZstdCompressor(level=6, write_checksum=True).stream_writer(file, closefd=False) as packed:
                yield packed
    except FileExistsError:
        raise _exists(out) from None
    except OSError as error:
        raise UsageError("unwritable", f"cannot write `{out}`: {(error.strerror or 'output failed').lower()}") from None


def _exists(out: Path) -> UsageError:
    return UsageError("unwritable", f"`{out}` exists; name another file, or remove it first")
