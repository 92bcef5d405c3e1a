"""Builds every adapter and hands it to those who need it; nothing else does. `main` is the command `policy-service`.

The heavy adapters (FastAPI, SQLAlchemy with Alembic) are imported by the functions that build them: an author who runs
`policy check` at every save waits for neither.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from policy_service.cli.main import run
from policy_service.cli.shared.environment import AsgiApp, Environment
from policy_service.model.decision import Explanation
from policy_service.model.errors import StoreError, UsageError
from policy_service.service.administration import Administration
from policy_service.service.auditing.decision_log import DecisionLog
from policy_service.service.caller import local_caller
from policy_service.service.clock import SystemClock, elapsed_s
from policy_service.service.deciding.credentials import Credentials
from policy_service.service.deciding.decisions import Answered, Decisions
from policy_service.service.deciding.gate import Gate
from policy_service.service.deciding.key_uses import KeyUses
from policy_service.service.deciding.shadow import Shadow
from policy_service.service.following.collector import kept_facts
from policy_service.service.following.crew import Member
from policy_service.service.following.follower import Follower
from policy_service.service.following.replica import DIVERGED, Replica
from policy_service.service.following.snapshot_file import SnapshotFiles
from policy_service.service.following.snapshot_keeping import SnapshotKeeper
from policy_service.service.following.wakers import BellWaker, Waker
from policy_service.service.identifiers import RandomIds
from policy_service.service.peppers import Peppers
from policy_service.service.policies.bundles import Bundles, MakeProgram
from policy_service.service.policies.policy_folder import read_folder, shipped_folder
from policy_service.service.ports import FactStore
from policy_service.service.recording.checkpoint_health import CheckpointHealth
from policy_service.service.recording.recorder import Recorder
from policy_service.service.recording.shards import Shards
from policy_service.service.recording.sinks import NullSink
from policy_service.service.services import Services
from policy_service.service.setup import Initialized, Setup
from policy_service.settings import ENV_PREFIX, Settings

if TYPE_CHECKING:
    from policy_service.service.recording.open_ledger import LedgerPlan
    from policy_service.store import Store

PRIVATE: Final = 0o077
"""The umask while a data directory is made: nobody else may read anything in it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. The exit code: 0 yes, 1 the answer is no, 2 usage or environment."""
    return run(sys.argv[1:] if arguments is None else arguments, environment())


def environment() -> Environment:
    """The real adapters."""
    caller = local_caller(os.getuid())

    def local_app(services: Services) -> AsgiApp:
        from policy_service.api.app import create_app

        return create_app(services, local_actor=caller.actor)

    return Environment(
        now=SystemClock().now,
        local_caller=caller,
        initialize=initialize,
        fresh_demo_keys=fresh_demo_keys,
        services=services,
        serving=serving,
        facts=facts,
        ledger=ledger,
        local_app=local_app,
        public_app=public_app,
        protocol=protocol,
        import_all=import_all,
        decision_document=explained_document,
    )


@contextmanager
def services(
    settings: Settings,
    member: Member | None = None,
    *,
    make: MakeProgram | None = None,
    makes_snapshots: bool = False,
) -> Iterator[Services]:
    """Everything behind the API on an existing store, its snapshot up to date.

    Args:
        member: of one worker among several.
        make: makes programs, that of the active bundle first; None: they are made here.
        makes_snapshots: have the snapshot file made anew when much has changed, at the start and later.

    Raises:
        UsageError: there is no store, or its pepper is missing or unfit.
        StoreError: the store cannot be read, or needs another version.
    """
    from policy_service.store import Store

    _require_store(settings)
    peppers = Peppers.load(settings.pepper_path())
    store = Store.open(settings.store_url(), committed=None if member is None else member.ring)
    try:
        built = build(settings, store, peppers, member, makes_snapshots=makes_snapshots)
        built.bundles.use(make)
        with kept_facts():
            _catch_up(built)
        yield built
    finally:
        store.close()


def serving(settings: Settings, member: Member | None, make: MakeProgram) -> AbstractContextManager[Services]:
    """The same for `serve`: the only process, or the first of several, looks after the snapshot file of its node."""
    return services(settings, member, make=make, makes_snapshots=member is None or member.is_first)


@contextmanager
def facts(settings: Settings) -> Iterator[FactStore]:
    """The facts of an existing store, and nothing that needs a pepper.

    Raises:
        UsageError: there is no store.
        StoreError: the store cannot be read, or needs another version.
    """
    from policy_service.store import Store

    _require_store(settings)
    store = Store.open(settings.store_url())
    try:
        yield store
    finally:
        store.close()


def _catch_up(built: Services) -> None:
    """Read the facts. Where the active bundle cannot be had nothing can be decided, but another can be activated."""
    try:
        if built.snapshots is None:
            built.replica.catch_up()
        else:
            built.snapshots.start()
    except StoreError as error:
        if built.replica.failure is not error or error.code == DIVERGED:
            raise


def build(
    settings: Settings,
    store: Store,
    peppers: Peppers,
    member: Member | None = None,
    *,
    makes_snapshots: bool = False,
) -> Services:
    """The use cases on an open store. The snapshot is still empty."""
    clock, ids = SystemClock(), RandomIds()
    bundles = Bundles(store, clock)
    replica = Replica(store, bundles)
    credentials = Credentials(peppers)
    uses = KeyUses(store)
    recorder = None if settings.ledger_durability == "off" else Recorder(settings.ledger_durability)
    shadow = Shadow(replica, bundles, recorder or NullSink())
    return Services(
        store=store,
        clock=clock,
        bundles=bundles,
        replica=replica,
        follower=Follower(replica, store, max_staleness_s=settings.max_staleness_s, wakers=_wakers(settings, member)),
        credentials=credentials,
        gate=Gate(credentials, replica, clock, uses),
        decisions=Decisions(replica, credentials, clock, ids, shadow, uses),
        administration=Administration(store, clock, ids, peppers, bundles, prefix=settings.key_prefix, uses=uses),
        decision_log=DecisionLog(settings.ledger_path(), store),
        uses=uses,
        shadow=shadow,
        recorder=recorder,
        checkpoints=None if recorder is None else CheckpointHealth(elapsed_s),
        peppers=peppers,
        member=member,
        snapshots=_snapshots(settings, replica, store, bundles, makes_snapshots),
    )


def _snapshots(
    settings: Settings, replica: Replica, store: Store, bundles: Bundles, is_maker: bool
) -> SnapshotKeeper | None:
    """Who looks after the snapshot file; None where every start reads all changes."""
    if settings.snapshot_every == 0:
        return None
    files = SnapshotFiles(settings.snapshot_path())
    make = partial(_make_snapshot, settings) if is_maker else None
    return SnapshotKeeper(replica, store, files, bundles, every=settings.snapshot_every, make=make)


def _make_snapshot(settings: Settings) -> subprocess.Popen[bytes]:
    """Start the command that makes the snapshot file. What it logs goes where this process's log goes."""
    told = {f"{ENV_PREFIX}DATA_DIR": str(settings.data_dir)}
    if settings.database_url is not None:
        told[f"{ENV_PREFIX}DATABASE_URL"] = settings.database_url.get_secret_value()
    command = [sys.executable, "-m", "policy_service", "snapshot"]
    process = subprocess.Popen(  # noqa: S603 - our own command, of no argument from outside
        command, env={**os.environ, **told}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    with suppress(OSError):
        # Whoever decides comes first.
        os.setpriority(os.PRIO_PROCESS, process.pid, 10)
    return process


def _wakers(settings: Settings, member: Member | None) -> list[Waker]:
    from policy_service.store import waker_for

    of_store: Waker = waker_for(settings.store_url())
    return [of_store] if member is None else [of_store, BellWaker(member.bell)]


@contextmanager
def ledger(settings: Settings, built: Services) -> Iterator[None]:
    """This process's shard of the ledger, open as long as the block runs: only then are decisions answered.

    Raises:
        StoreError: it cannot be opened.
        UsageError: the signing key or the sink of checkpoints is unfit.
    """
    if built.recorder is None:
        yield
        return
    from policy_service.service.recording.open_ledger import Ledger

    health = built.checkpoints
    assert isinstance(health, CheckpointHealth)  # `build` made it
    plan = _ledger_plan(settings)
    _make_private(plan.folder)
    shards = Shards(built.store, built.clock, RandomIds(), local_caller(os.getuid()))
    opening = Ledger(plan, built.store, built.replica, shards, built.clock, health, elapsed=elapsed_s)
    with opening.open(built.recorder):
        yield


def _ledger_plan(settings: Settings) -> LedgerPlan:
    from policy_service.ledger.shard import Limits
    from policy_service.service.recording.checkpoint_sinks import checkpoint_sink
    from policy_service.service.recording.open_ledger import LedgerPlan

    sink = settings.checkpoint_sink
    return LedgerPlan(
        folder=settings.ledger_path(),
        key_path=settings.signing_key_path(),
        limits=Limits(
            segment_bytes=settings.ledger_segment_bytes,
            segment_age_s=settings.ledger_segment_age_s,
            free_warning_bytes=settings.ledger_free_warning_mb * 1_000_000,
        ),
        interval_s=settings.checkpoint_interval_s,
        sink=None if sink is None else checkpoint_sink(sink.get_secret_value()),
        retention_days=settings.ledger_retention_days,
    )


def public_app(built: Services, settings: Settings) -> AsgiApp:
    """The API as its callers meet it."""
    from policy_service.api.app import create_app
    from policy_service.api.entrance import EntranceSettings, LegacyHeader

    header = settings.legacy_header
    legacy = None if header is None else LegacyHeader(header, settings.legacy_header_sunset)
    return create_app(built, settings=EntranceSettings(settings.trusted_proxies, legacy))


def protocol(app: AsgiApp, settings: Settings) -> type[asyncio.Protocol]:
    """What speaks HTTP on each connection of an application: bounded in what a stranger may take."""
    from policy_service.api.lane import lane_protocol
    from policy_service.api.wire import bounded_protocol

    if settings.fast_lane == "off":
        return bounded_protocol(settings.read_timeout_s)
    return lane_protocol(app, settings.read_timeout_s)


def import_all() -> None:
    """What `serve` needs, imported before it forks. Nothing is opened and no thread begun."""
    import policy_service.api.app
    import policy_service.api.entrance
    import policy_service.api.lane
    import policy_service.api.wire
    import policy_service.service.recording.checkpoint_sinks
    import policy_service.service.recording.open_ledger
    import policy_service.store  # noqa: F401 - for what stays in memory


def explained_document(explanation: Explanation, scope: str) -> dict[str, Any]:
    """What `POST /decide?explain=true` would answer; never recorded, so it has no id."""
    from policy_service.api.decide import decision_document

    document = decision_document(Answered(decision_id="", decision=explanation.decision), scope)
    checks = [msgspec.to_builtins(check) for check in explanation.checks]
    return {**document, "decision_id": None, "checks": checks}


def initialize(settings: Settings, demo: bool, policies: Path | None) -> Initialized:
    """Make or complete a data directory: folder, database, pepper and signing key, then what `Setup` makes.

    Raises:
        UsageError: it cannot be, or a pepper is missing where facts are already.
        PolicyErrors: the rule files have mistakes; then the store stays empty.
    """
    from policy_service.store import Store, migrate

    files = read_folder(policies or shipped_folder())
    before = os.umask(PRIVATE)
    try:
        _make_private(settings.data_dir)
        migrate(settings.store_url())
    finally:
        os.umask(before)
    store = Store.open(settings.store_url())
    try:
        peppers = _pepper(settings.pepper_path(), is_fresh=store.head() == 0)
        _signing_key(settings)
        return _setup(settings, store, peppers).initialize(local_caller(os.getuid()), files, demo=demo)
    finally:
        store.close()


def fresh_demo_keys(settings: Settings) -> Initialized:
    """Another set of keys for the demonstration that is there."""
    with services(settings) as built:
        setup = Setup(built.store, built.administration, built.bundles)
        return setup.issue_demo_keys(local_caller(os.getuid()))


def _setup(settings: Settings, store: Store, peppers: Peppers) -> Setup:
    built = build(settings, store, peppers)
    return Setup(store, built.administration, built.bundles)


def _make_private(folder: Path) -> None:
    """Make the folder, mode 0700. An empty one that is there already is closed to others."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            folder.chmod(0o700)
    except OSError as error:
        reason = (error.strerror or "not possible").lower()
        raise UsageError("unfit_data_dir", f"cannot use `{folder}` as a data directory: {reason}") from None


def _pepper(path: Path, *, is_fresh: bool) -> Peppers:
    """The pepper, made where no key can depend on a lost one."""
    if path.exists():
        return Peppers.load(path)
    if not is_fresh:
        raise UsageError(
            "missing_pepper",
            f"the store holds keys, but there is no pepper at `{path}`; copy it from where they were made",
        )
    return Peppers.create(path)


def _signing_key(settings: Settings) -> None:
    """The ledger's folder, and the key that signs for it, made where no checkpoint can depend on a lost one."""
    from policy_service.ledger.keys import create, default_name, load_signers, verifiers_path
    from policy_service.ledger.layout import shards

    _make_private(settings.ledger_path())
    path = settings.signing_key_path()
    if path.exists() or verifiers_path(path).exists() or shards(settings.ledger_path()):
        load_signers(path)
    else:
        create(path, default_name())


def _require_store(settings: Settings) -> None:
    """SQLite would make an empty database where there is none."""
    path = settings.data_dir / "policy.db"
    if settings.database_url is None and not path.is_file():
        raise UsageError("no_store", f"there is no store at `{path}`; run `policy-service init` or name `--data-dir`")
