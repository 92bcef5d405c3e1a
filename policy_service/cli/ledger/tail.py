"""`ledger tail`: the last decisions, and those that come."""

from __future__ import annotations

import time
from collections.abc import Callable, Container
from itertools import islice
from typing import Annotated, Final

import typer

from policy_service.cli.ledger.filters import Filters, decided_at, line_of
from policy_service.cli.ledger.options import ledger_folder
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.grouped import spread
from policy_service.cli.shared.options import AsJson, DataDir
from policy_service.cli.shared.screen import Screen
from policy_service.ledger.browsing import Browser
from policy_service.ledger.following import Follower
from policy_service.ledger.layout import contents
from policy_service.ledger.query import finder
from policy_service.ledger.record import DecisionRecord
from policy_service.settings import load_settings

INTERVAL_S: Final = 0.2


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tail")(tail_records)


@spread
def tail_records(
    context: typer.Context,
    *,
    count: Annotated[
        int, typer.Option("--lines", "-n", min=0, max=100_000, metavar="N", help="The last so many.")
    ] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with those that come, until Ctrl-C.")] = False,
    filters: Filters,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show the last decisions, a line each, the newest last.

    Following goes on through new segments, new shards and servers that start again.
    """
    session: Session = context.obj
    find = finder(filters.wanted(session.environment.now()))
    folder = ledger_folder(load_settings(data_dir=data_dir))
    coming = Follower(folder) if follow else None
    found = (record for seen in Browser(contents(folder), {}) if (record := find(seen.text)) is not None)
    last = list(islice(found, count))
    for record in reversed(last):
        _show(session.screen, record, as_json)
    if coming is not None:
        # What came between the two looks is in both.
        told = {record.id for record in last}
        _follow(session.screen, coming, lambda line: _fresh(find(line), told), as_json)


def _fresh(record: DecisionRecord | None, told: Container[str]) -> DecisionRecord | None:
    return None if record is None or record.id in told else record


def _follow(screen: Screen, coming: Follower, find: Callable[[bytes], DecisionRecord | None], as_json: bool) -> None:
    try:
        while True:
            for record in filter(None, map(find, coming.new_lines())):
                _show(screen, record, as_json)
            screen.flush()
            time.sleep(INTERVAL_S)
    except KeyboardInterrupt:
        return


def _show(screen: Screen, record: DecisionRecord, as_json: bool) -> None:
    if as_json:
        screen.json_line(line_of(record))
        return
    asked, principal = record.request, record.principal
    who = asked.credential.key_id or asked.credential.outcome
    acts = "" if principal is None else f" {principal.kind}:{principal.id}"
    style = "green" if record.decision == "allow" else "red"
    screen.parts(
        (f"{decided_at(record)} ", "dim"),
        (f"{record.decision:5} ", style),
        (f"{record.reason}{f' by {record.rule}' if record.rule else ''}", "bold"),
        (f"  {asked.scope} on {asked.resource.type}:{asked.resource.id}", ""),
        (f"  {who}{acts} in {record.workspace}  {record.id}", "dim"),
    )
