"""SQL over ledger files where they lie, and Parquet from them: by DuckDB, which is an extra (`policy-service[sql]`).

The view `decisions` has one row a record, newest columns first; what has no column of its own is in the structs
`caller`, `request` and `facts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from policy_service.ledger.reader import sources
from policy_service.model.errors import UsageError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_COLUMNS: Final = {
    "v": "INTEGER",
    "id": "VARCHAR",
    "at": "VARCHAR",
    "semantics": "INTEGER",
    "caller": "STRUCT(actor VARCHAR, workspace VARCHAR, verdict VARCHAR, key_id VARCHAR)",
    "workspace": "VARCHAR",
    "request": "STRUCT(credential STRUCT(outcome VARCHAR, key_id VARCHAR, slot INTEGER, fingerprint VARCHAR), "
    "scope VARCHAR, resource STRUCT(type VARCHAR, id VARCHAR, workspace VARCHAR, owner VARCHAR, attributes JSON), "
    "source_ip VARCHAR, context JSON)",
    "facts": "STRUCT(key_scopes VARCHAR[], teams VARCHAR[], roles VARCHAR[], registered BOOLEAN, owner VARCHAR, "
    "attributes JSON, address VARCHAR, allowlist_network VARCHAR, key_network VARCHAR)",
    "decision": "VARCHAR",
    "reason": "VARCHAR",
    "revision": "BIGINT",
    "chain": "VARCHAR",
    "bundle": "VARCHAR",
    "principal": "STRUCT(kind VARCHAR, id VARCHAR)",
    "check": "VARCHAR",
    "rule": "VARCHAR",
    "batch_id": "VARCHAR",
    "item_id": "VARCHAR",
    "request_id": "VARCHAR",
    "trace_id": "VARCHAR",
    "explained": "BOOLEAN",
}
_VIEW: Final = """
CREATE VIEW decisions AS SELECT
    id, make_timestamp_ns(CAST("at" AS BIGINT)) AS decided_at, workspace, decision, reason, "check", rule,
    request.credential.outcome AS credential, request.credential.key_id AS key_id,
    principal.kind AS principal_kind, principal.id AS principal_id,
    request.scope AS scope, request.resource.type AS resource_type, request.resource.id AS resource_id,
    request.source_ip AS source_ip, caller.actor AS caller, revision, chain, bundle, semantics,
    batch_id, item_id, request_id, trace_id, coalesce(explained, false) AS explained,
    request, facts, v
FROM read_ndjson({files}, columns = {columns}, ignore_errors = true, maximum_object_size = 2097152)
"""
"""Lines that are no records are passed over, an unfinished last one too: `verify` tells of them."""


class Answer(msgspec.Struct, frozen=True):
    """What a query came to."""

    columns: Sequence[str]
    rows: Sequence[tuple[Any, ...]]


def ask(paths: Iterable[Path], query: str, limit: int | None = None) -> Answer:
    """Run one query over the records of files and folders.

    Args:
        query: SQL of DuckDB; the records are the view `decisions`.

    Raises:
        UsageError: `no_duckdb`; `invalid_sql`, in DuckDB's words; `no_ledger`.
    """
    duckdb, connection = opened(paths)
    try:
        with connection.execute(query) as result:
            rows = result.fetchall() if limit is None else result.fetchmany(limit)
            return Answer([column[0] for column in result.description or ()], rows)
    except duckdb.Error as error:
        raise UsageError("invalid_sql", _one_line(error)) from None


def opened(paths: Iterable[Path]) -> tuple[Any, DuckDBPyConnection]:
    """DuckDB in memory with the view `decisions`. Raises UsageError `no_duckdb`, `no_ledger`."""
    try:
        import duckdb  # noqa: PLC0415 - an extra
    except ImportError:
        raise UsageError(
            "no_duckdb", "SQL and Parquet need DuckDB; install it with `pip install 'policy-service[sql]'`"
        ) from None
    files = [str(source.path) for source in sources(paths)]
    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
    if not files:
        raise UsageError("no_ledger", "there are no records yet")
    connection.execute(_VIEW.format(files=_list(files), columns=_struct(_COLUMNS)))
    return duckdb, connection


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"


def _struct(members: dict[str, str]) -> str:
    return f"{{{', '.join(f'{_quoted(name)}: {_quoted(kind)}' for name, kind in members.items())}}}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _one_line(error: Exception) -> str:
    kind, _, told = " ".join(str(error).split())[:300].partition(": ")
    return f"{kind.lower()}: {told}"
