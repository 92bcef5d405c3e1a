"""`ledger query`: past decisions, by filters or by SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from policy_service.cli.ledger.filters import COLUMNS, Filters, line_of, row
from policy_service.cli.ledger.options import ledger_folder
from policy_service.cli.shared.client import connect
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.grouped import spread
from policy_service.cli.shared.options import AsJson, DataDir, Limit, Url
from policy_service.cli.shared.period import Period
from policy_service.ledger.browsing import Browser, Seen, oldest_first
from policy_service.ledger.layout import contents
from policy_service.ledger.query import Wanted, finder
from policy_service.ledger.reader import sources
from policy_service.ledger.record import DecisionRecord
from policy_service.model.errors import UsageError
from policy_service.model.instants import format_rfc3339
from policy_service.settings import load_settings

SHOWN: Final = 100
"""Records in a table, unless told otherwise: nobody reads more, and what is beyond it is a question for `--json`."""

Sql = Annotated[
    str | None,
    typer.Option("--sql", metavar="QUERY", help="SQL of DuckDB over the view `decisions`, in place of filters."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("query")(query_records)


@spread
def query_records(
    context: typer.Context,
    *,
    period: Period,
    filters: Filters,
    oldest: Annotated[bool, typer.Option("--oldest", help="The oldest first.")] = False,
    limit: Limit = None,
    sql: Sql = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Find past decisions, the newest first.

    All filters must fit. With `--json` each record is one line, byte for byte as in the ledger. A table shows 100,
    unless `--limit` says otherwise.

    `--sql` asks DuckDB about the view `decisions`, one row a record, such as
    `SELECT reason, count(*) FROM decisions GROUP BY ALL`.
    """
    session: Session = context.obj
    wanted = filters.wanted(session.environment.now(), period)
    if sql is not None:
        _sql(session, sql, wanted, data_dir, url, limit, as_json)
    elif url is not None:
        _refuse_oldest(oldest)
        _remote(session, wanted, data_dir, url, limit, as_json)
    else:
        with ExitStack() as stack:
            records = _found(session, wanted, data_dir, oldest, None if as_json else stack)
            _show(session, records, limit, as_json, stack)


def _refuse_oldest(oldest: bool) -> None:
    if oldest:
        raise UsageError("usage", "`--oldest` reads the files; a server lists the newest first")


def _remote(
    session: Session,
    wanted: Wanted,
    data_dir: Path | None,
    url: str,
    limit: int | None,
    as_json: bool,
) -> None:
    asked: dict[str, Any] = msgspec.structs.asdict(wanted)
    for name in ("since", "until"):
        asked[name] = None if asked[name] is None else format_rfc3339(asked[name])
    workspace = asked.pop("workspace")
    with connect(session, data_dir=data_dir, url=url, workspace=workspace, of_workspace=False) as api:
        most = limit if as_json else limit or SHOWN
        answer = api.pages("decisions", params=asked, limit=most)
    records = (msgspec.convert(item, DecisionRecord) for item in answer["data"])
    _show(session, records, most, as_json, has_more=answer["next_cursor"] is not None)


def _found(
    session: Session, wanted: Wanted, data_dir: Path | None, oldest: bool, stack: ExitStack | None
) -> Iterator[DecisionRecord]:
    """The records that fit; a bar on a terminal, as long as `stack` is open, tells how far the search is."""
    folder = ledger_folder(load_settings(data_dir=data_dir))
    shards = contents(folder)
    found: Iterator[Seen] = oldest_first(shards) if oldest else iter(Browser(shards, {}))
    if stack is None:
        return _fitting(found, finder(wanted), lambda _bytes: None)
    return _fitting(found, finder(wanted), stack.enter_context(session.screen.progress("searching", _size(folder))))


def _fitting(
    found: Iterator[Seen],
    find: Callable[[bytes], DecisionRecord | None],
    advance: Callable[[int], None],
) -> Iterator[DecisionRecord]:
    passed = 0
    for seen in found:
        passed += len(seen.text) + 1
        if passed > 1 << 20:
            advance(passed)
            passed = 0
        record = find(seen.text)
        if record is not None:
            yield record


def _size(folder: Path) -> int:
    """How much there is to read, about: compressed files hold some ten times their size."""
    return sum(source.path.stat().st_size * (10 if source.path.suffix == ".zst" else 1) for source in sources([folder]))


def _show(
    session: Session,
    records: Iterator[DecisionRecord],
    limit: int | None,
    as_json: bool,
    bar: ExitStack | None = None,
    *,
    has_more: bool = False,
) -> None:
    """Print records. `bar` is closed before a table comes: the two would write into each other."""
    screen = session.screen
    if as_json:
        for record in islice(records, limit):
            screen.json_line(line_of(record))
        return
    most = limit or SHOWN
    shown = list(islice(records, most))
    has_more = has_more or next(records, None) is not None
    if bar is not None:
        bar.close()
    if not shown:
        screen.note("none")
        return
    screen.table(COLUMNS, [row(record) for record in shown])
    if has_more:
        screen.note(f"the first {most}; there are more, see `--limit`")


def _sql(
    session: Session,
    sql: str,
    wanted: Wanted,
    data_dir: Path | None,
    url: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    # Imported here: only this needs DuckDB.
    from policy_service.ledger.sql import ask  # noqa: PLC0415 - as said

    if url is not None or wanted != Wanted():
        raise UsageError("usage", "`--sql` reads files: put filters into its WHERE, and leave `--url` out")
    answer = ask([load_settings(data_dir=data_dir).ledger_path()], sql, limit)
    if as_json:
        for values in answer.rows:
            named = dict(zip(answer.columns, values, strict=True))
            session.screen.json_line(msgspec.json.encode(named, enc_hook=str).decode())
    else:
        session.screen.table(answer.columns, answer.rows)
