"""`ledger replay`: past decisions made again, and what other rules or facts would have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from policy_service.cli.ledger.filters import Filters
from policy_service.cli.ledger.foresee import show_foreseen, show_least_privilege, told_flips
from policy_service.cli.ledger.options import Jobs, jobs_for
from policy_service.cli.ledger.replayed import show_replayed
from policy_service.cli.ledger.supposed import Supposed
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.grouped import spread
from policy_service.cli.shared.options import AsJson, DataDir
from policy_service.cli.shared.period import Period
from policy_service.ledger.query import Wanted, finder
from policy_service.ledger.reader import Source, sources
from policy_service.model.errors import UsageError
from policy_service.service.auditing.archive import Archive, StoreArchive
from policy_service.service.auditing.foresee import Foreseen, Scenario, foresee
from policy_service.service.auditing.least_privilege import LeastPrivilege, least_privilege
from policy_service.service.auditing.record_order import LineFilter
from policy_service.service.auditing.replay import ReplayOptions
from policy_service.service.auditing.replay_pack import PackArchive
from policy_service.service.auditing.replay_report import SHOWN
from policy_service.service.auditing.replay_sharing import replay_shared, replayers
from policy_service.settings import Settings, load_settings

NO = 1


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay_records)


Files = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILES]...", help="Exported records, or folders. [default: the data directory's ledger]"),
]
Pack = Annotated[Path | None, typer.Option("--pack", metavar="FILE", help="Facts and bundles from this replay pack.")]
Show = Annotated[int, typer.Option("--show", min=0, metavar="N", help="Show at most so many findings.")]


@spread
def replay_records(
    context: typer.Context,
    *,
    files: Files = None,
    pack: Pack = None,
    supposed: Supposed,
    period: Period,
    filters: Filters,
    show: Show = SHOWN,
    jobs: Jobs = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> int:
    """Decide recorded requests again, and compare.

    Each is decided on the facts and by the rules of its time; nothing of a record is believed but what was asked, when,
    and on which revision. Exit code 0: everything comes out as recorded; 1: something does not, and is shown side by
    side.

    With `--policies`, `--facts-now`, `--without-key` or `--without-member` it tells instead what would have been
    answered otherwise; the exit code is 1 for the flips named by `--fail-on`.
    """
    session: Session = context.obj
    task = _Task(
        scenario=supposed.scenario(filters.workspace),
        least=supposed.least,
        failing=told_flips(supposed.fail_on),
        filter=_line_filter(filters.wanted(session.environment.now(), period)),
        shown=show,
        jobs=jobs,
        as_json=as_json,
    )
    task.check()
    settings = load_settings(data_dir=data_dir)
    found = sources(files or [settings.data_dir])
    return 0 if _run(session, task, settings, found, pack) else NO


class _Task(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done. `scenario` None: a replay."""

    scenario: Scenario | None
    least: str | None
    failing: tuple[str, ...]
    filter: LineFilter | None
    shown: int
    jobs: int | None
    as_json: bool

    @property
    def is_plain(self) -> bool:
        """Whether nothing is supposed or asked besides."""
        return self.scenario is None and self.least is None

    def check(self) -> None:
        """Raise UsageError where options do not go together."""
        if self.least is not None and self.scenario is not None:
            raise UsageError("usage", "`--least-privilege` stands alone; it supposes nothing else")
        if self.failing and self.scenario is None:
            raise UsageError(
                "usage", "`--fail-on` needs something to suppose: `--policies`, `--facts-now`, `--without-…`"
            )
        if (self.jobs or 1) > 1 and not self.is_plain:
            raise UsageError("usage", "`--jobs` is for replays that suppose nothing; leave it out")


def _run(session: Session, task: _Task, settings: Settings, found: list[Source], pack: Path | None) -> bool:
    """Do it and show it; whether the answer is yes."""
    if task.is_plain:
        return _replay(session, task, settings, found, pack)
    screen = session.screen
    with past_of(session, settings, pack) as archive, replaying(session, found) as advance:
        started = session.environment.now()
        options = ReplayOptions(progress=advance, shown=task.shown, wanted=task.filter)
        answer: Foreseen | LeastPrivilege
        if task.least is not None:
            answer = least_privilege(archive, found, task.least, options)
        else:
            assert task.scenario is not None  # one of the two is there
            answer = foresee(archive, found, task.scenario, options)
        spent = session.environment.now() - started
    if isinstance(answer, LeastPrivilege):
        return show_least_privilege(screen, answer, as_json=task.as_json)
    return show_foreseen(screen, answer, spent, failing=task.failing, as_json=task.as_json)


def _replay(session: Session, task: _Task, settings: Settings, found: list[Source], pack: Path | None) -> bool:
    started = session.environment.now()
    jobs = jobs_for(task.jobs, _size(found))
    options = ReplayOptions(shown=task.shown, wanted=task.filter)
    # The processes first: what is opened after them is not theirs.
    with (
        replayers(jobs, partial(past_of, session, settings, pack), options) as helpers,
        replaying(session, found) as advance,
    ):
        report = replay_shared(helpers, found, jobs, shown=task.shown, progress=advance)
    show_replayed(session.screen, report, session.environment.now() - started, as_json=task.as_json)
    return report.is_clean


def _line_filter(wanted: Wanted) -> LineFilter | None:
    """None where all records are wanted: then nothing needs to be decoded for it."""
    if wanted == Wanted():
        return None
    find = finder(wanted)
    return lambda text: find(text) is not None


@contextmanager
def past_of(session: Session, settings: Settings, pack: Path | None) -> Iterator[Archive]:
    """Where the facts come from."""
    if pack is not None:
        yield PackArchive(pack)
        return
    with session.environment.facts(settings) as store:
        yield StoreArchive(store)


def replaying(session: Session, found: Sequence[Source]) -> AbstractContextManager[Callable[[int], None]]:
    """A bar over the bytes of all files."""
    return session.screen.progress("replaying", _size(found))


def _size(found: Sequence[Source]) -> int:
    return sum(source.path.stat().st_size for source in found)
