"""What happens when the house's ground gives way: each fault caused for real, each with the documented outcome.

The table `What happens when` of docs/administrators.md says in words what these tests say. In all of them nothing is
allowed that should not be, and what mends itself does so without help.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, event, make_url, text

from policy_service.model.changes import GENESIS_HASH
from policy_service.service.clock import SystemClock
from policy_service.service.following.replica import Replica
from policy_service.service.policies.bundles import Bundles
from policy_service.store import Store
from tests.databases import run_sql
from tests.e2e.processes import Server, answer, command
from tests.unit.api.desk import Desk, problem_code
from tests.unit.service.house import OPERATOR, House
from tests.waiting import until

ETL = {"type": "pipeline", "id": "etl-42", "workspace": "demo"}


class Site:
    """A demonstration, and the means to look at its server."""

    def __init__(self, data_dir: Path, **variables: str) -> None:
        self.data_dir = data_dir
        self.database = data_dir / "policy.db"
        self.variables = variables
        self.keys: dict[str, str] = answer("init", "--demo", "--data-dir", data_dir, **variables)

    def server(self, **more: str) -> Server:
        return Server(self.data_dir, **self.variables, **more)

    def ask(self, server: Server, **more: Any) -> httpx.Response:
        """One question about the service key, which is allowed while nothing is wrong."""
        question = {"key": self.keys["service_key"], "scope": "pipelines:run", "resource": ETL, **more}
        return server.call("POST", "/decide", self.keys["caller_key"], question)

    def write(self, server: Server, user: str = "zoe") -> httpx.Response:
        return server.call("PUT", f"/v1/users/{user}", self.keys["admin_key"], {"name": "Zoe"})

    def revoke(self, server: Server) -> Any:
        """Revoke the service key; the revision that has it."""
        key_id = self.ask(server).json()["key_id"]
        return server.change("POST", f"/v1/keys/{key_id}/revoke", self.keys["admin_key"])["revision"]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A demonstration on SQLite."""
    return Site(tmp_path / "data")


@pytest.fixture
def pg_site(tmp_path: Path, empty_postgres_url: str) -> Site:
    """A demonstration on PostgreSQL."""
    return Site(tmp_path / "data", POLICY_SERVICE_DATABASE_URL=empty_postgres_url)


def readiness(server: Server) -> str:
    """`ready`, or the code of why not."""
    document = server.call("GET", "/readyz", None).json()
    return str(document.get("code", document["status"]))


def assert_allowed(response: httpx.Response) -> None:
    assert response.status_code == 200, response.text
    assert response.json()["reason"] == "allowed"


def assert_sound(url: str, wanted: set[str] = frozenset()) -> None:  # type: ignore[assignment]  # never changed
    """The feed is whole, its fold is the tables, and these users are in it."""
    with closing(Store.open(url)) as store:
        replica = Replica(store, Bundles(store, SystemClock()))
        replica.catch_up()
        folded, stored = sorted(map(repr, replica.view().facts())), sorted(map(repr, store.facts()))
        assert folded == stored
        previous = GENESIS_HASH
        for change in store.changes_after(0, 100_000):
            assert change.previous_hash == previous
            previous = change.hash
        assert wanted <= {fact.id for fact in replica.view().facts() if fact.entity == "user"}  # type: ignore[attr-defined]  # users have ids


def test_a_database_that_is_gone_stops_writes_at_once_and_decisions_in_time(site: Site) -> None:
    """Decisions go on for the staleness bound, then are 503 `stale`, never an old allow. Once back, all goes on."""
    away = site.database.with_name("away.db")
    with site.server(POLICY_SERVICE_MAX_STALENESS_S="5") as server:
        until(lambda: site.ask(server).status_code == 200)
        site.database.rename(away)
        assert_allowed(site.ask(server))
        assert problem_code(site.write(server), 503) == "store_unreachable"
        until(lambda: readiness(server) in {"store_unreachable", "stale"})
        until(lambda: site.ask(server).status_code == 503)
        refused = site.ask(server)
        assert problem_code(refused, 503) == "stale"
        assert refused.headers["retry-after"] == "5"
        assert problem_code(site.ask(server, min_revision=1), 503) == "stale"
        assert readiness(server) == "stale"
        away.rename(site.database)
        until(lambda: readiness(server) == "ready")
        assert_allowed(site.ask(server))
        assert site.write(server).status_code == 201
    assert_sound(f"sqlite:///{site.database}", {"zoe"})


def test_a_connection_cut_in_mid_write_leaves_nothing_of_it(pg_site: Site) -> None:
    """The writer waits for its turn when PostgreSQL ends its session: 503, no half of a change; the next one works."""
    url = pg_site.variables["POLICY_SERVICE_DATABASE_URL"]
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with pg_site.server() as server:
        answers: list[httpx.Response] = []
        with engine.connect() as other:
            other.execute(text("SELECT revision FROM counter FOR UPDATE"))
            writer = threading.Thread(target=lambda: answers.append(pg_site.write(server)))
            writer.start()
            until(lambda: _waiting(engine) == 1)
            other.execute(text(f"SELECT pg_terminate_backend(pid) {_WAITING}"))
            writer.join()
            other.rollback()
        engine.dispose()
        assert problem_code(answers[0], 503) == "store_unreachable"
        assert_allowed(pg_site.ask(server))
        assert server.call("GET", "/v1/users/zoe", pg_site.keys["admin_key"]).status_code == 404
        assert pg_site.write(server).status_code == 201
        until(lambda: readiness(server) == "ready")
    assert_sound(url, {"zoe"})


_WAITING = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def _waiting(engine: Any) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) {_WAITING}")).scalar_one())


def test_a_locked_database_refuses_writes_in_time_and_decides_on(site: Site) -> None:
    """`store_locked` after five seconds; nobody waits longer, and reading never waits."""
    with site.server() as server:
        with closing(sqlite3.connect(site.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            started = time.monotonic()
            assert problem_code(site.write(server), 503) == "store_locked"
            assert time.monotonic() - started < 30, "five seconds, and what a busy machine adds"
            assert_allowed(site.ask(server))
            assert readiness(server) == "ready"
            other.execute("ROLLBACK")
        assert site.write(server).status_code == 201


@pytest.mark.parametrize(
    ("pragma", "lifted", "code"),
    [
        ("max_page_count = 1", "max_page_count = 1000000", "store_full"),
        ("query_only = ON", "query_only = OFF", "store_read_only"),
    ],
    ids=["full", "read-only"],
)
def test_a_database_that_takes_nothing_more_is_decided_on(sqlite_url: str, pragma: str, lifted: str, code: str) -> None:
    """A full disk, a file that became read-only: writes are refused whole, and go through once that is over."""
    with closing(Store.open(sqlite_url)) as store:
        house = House(store).furnish()
        admin, key = (
            house.key("acme", principal="admin", scopes=("admin:organization", "decisions:evaluate")),
            house.key(),
        )
        settings = [pragma]
        event.listen(store._engine, "checkout", lambda connection, *_: connection.execute(f"PRAGMA {settings[0]}"))
        with Desk(house, key=admin.text) as desk:
            body = {"attributes": {"text": "x" * 12_000}}
            refused = [desk.call("PUT", f"/v1/resources/pipeline/p{number}", body) for number in range(20)]
            head = store.head()
            assert {problem_code(one, 503) for one in refused if one.status_code == 503} == {code}
            assert desk.decide(key=key.text).json()["reason"] == "allowed"
            settings[0] = lifted
            assert desk.call("PUT", "/v1/resources/pipeline/again", body).status_code == 201
            assert store.head() == head + 1
            assert desk.decide(key=key.text).json()["revision"] == head + 1
    assert_sound(sqlite_url)


def test_a_read_only_primary_refuses_writes_and_decides_on(pg_site: Site) -> None:
    """A standby that was not promoted: `store_read_only`; promoted, it takes them, without a restart."""
    url = make_url(pg_site.variables["POLICY_SERVICE_DATABASE_URL"])
    maintenance = url.set(database="postgres")
    with pg_site.server() as server:
        run_sql(maintenance, f"ALTER DATABASE {url.database} SET default_transaction_read_only = on")
        _end_sessions(url)
        assert problem_code(pg_site.write(server), 503) == "store_read_only"
        assert_allowed(pg_site.ask(server))
        run_sql(maintenance, f"ALTER DATABASE {url.database} RESET default_transaction_read_only")
        _end_sessions(url)
        assert pg_site.write(server).status_code == 201


def _end_sessions(url: Any) -> None:
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"
    run_sql(make_url(url).set(database="postgres"), ended, name=make_url(url).database)


def assert_diverged(site: Site, server: Server) -> None:
    """Nothing is decided, nobody is told to try again, and it stays so."""
    until(lambda: readiness(server) == "store_diverged")
    for _ in range(3):
        refused = site.ask(server)
        assert problem_code(refused, 503) == "store_diverged"
        assert "retry-after" not in refused.headers
        time.sleep(0.1)
    assert problem_code(site.write(server), 503) == "store_diverged"


def test_an_old_backup_under_a_running_server_stops_it(site: Site, tmp_path: Path) -> None:
    """It has seen a revocation that is not there any more, and does not forget it. A restart takes the backup."""
    backup = tmp_path / "backup.db"
    with site.server() as server:
        with closing(sqlite3.connect(site.database)) as copied:
            copied.execute(f"VACUUM INTO '{backup}'")
        site.revoke(server)
        assert site.ask(server).json()["reason"] == "revoked_key"
        for old in site.data_dir.glob("policy.db*"):
            old.unlink()
        shutil.move(backup, site.database)
        assert_diverged(site, server)
    with site.server() as server:
        assert_allowed(site.ask(server))
        assert site.write(server).status_code == 201


def test_a_failover_that_lost_rows_stops_the_server(pg_site: Site) -> None:
    """The standby that took over lacks the last changes. A restart goes on from what it has."""
    url = make_url(pg_site.variables["POLICY_SERVICE_DATABASE_URL"])
    maintenance, standby, lost = url.set(database="postgres"), f"{url.database}_standby", f"{url.database}_lost"
    run_sql(maintenance, f"CREATE DATABASE {standby} TEMPLATE {url.database}")
    with pg_site.server() as server:
        pg_site.revoke(server)
        run_sql(maintenance, f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false")
        _end_sessions(url)
        run_sql(maintenance, f"ALTER DATABASE {url.database} RENAME TO {lost}")
        run_sql(maintenance, f"ALTER DATABASE {standby} RENAME TO {url.database}")
        assert_diverged(pg_site, server)
    with pg_site.server() as server:
        assert_allowed(pg_site.ask(server))
        assert pg_site.write(server).status_code == 201
    run_sql(maintenance, f"DROP DATABASE {lost}")


def test_a_clock_that_jumps_moves_what_time_decides_and_nothing_else(sqlite_url: str) -> None:
    """Forward, keys end; back, they are good again, as the clock says. Order is by revision, whatever the times."""
    with closing(Store.open(sqlite_url)) as store:
        house = House(store).furnish()
        start, hour = house.clock.now(), 3600 * 10**9
        plain, ending = house.key(), house.key(expires_at=start + hour)
        beginning = house.key(not_before=start + hour)
        house.clock.time = start + 24 * hour
        assert house.decide(ending.text).decision.reason == "expired_key"
        assert house.decide(beginning.text).decision.allowed
        house.admin.revoke_key(OPERATOR, "acme", plain.api_key.id)
        house.clock.time = start - 24 * hour
        assert house.decide(ending.text).decision.allowed
        assert house.decide(beginning.text).decision.reason == "key_not_yet_valid"
        assert house.decide(plain.text).decision.reason == "revoked_key"
        house.admin.put_user(OPERATOR, "acme", "later")
        assert house.decide(house.key().text).decision.allowed
        times = [change.at for change in store.changes_after(0, 100)]
        assert times != sorted(times)
    assert_sound(sqlite_url, {"later"})


def test_a_running_server_needs_its_pepper_file_no_more(site: Site) -> None:
    """It was read at the start: swapping the file changes nothing until the next one."""
    pepper = site.data_dir / "pepper"
    kept = pepper.read_bytes()
    with site.server() as server:
        pepper.write_bytes(_another_pepper(kept, "p1"))
        assert_allowed(site.ask(server))
    with site.server() as server:
        refused = site.ask(server)
        assert problem_code(refused, 401) == "unknown_key"
    pepper.write_bytes(_another_pepper(kept, "p2"))
    with site.server() as server:
        assert problem_code(site.ask(server), 503) == "pepper_not_loaded"
    pepper.unlink()
    missing = command("serve", "--port", "0", "--data-dir", site.data_dir)
    assert (missing.returncode, "[missing_pepper]" in missing.stderr) == (2, True)
    pepper.write_bytes(kept)
    pepper.chmod(0o600)
    with site.server() as server:
        assert_allowed(site.ask(server))


def _another_pepper(content: bytes, pepper_id: str) -> bytes:
    document = f'{{"current": "{pepper_id}", "peppers": {{"{pepper_id}": "{"ab" * 32}"}}}}'
    assert document.encode() != content
    return document.encode()


def test_two_servers_on_one_data_directory_follow_each_other(site: Site) -> None:
    """Both decide and both write; `min_revision` makes it certain, and without it the other follows soon."""
    with site.server() as first, site.server() as second:
        for number, (writing, reading) in enumerate([(first, second), (second, first)] * 3):
            revision = writing.change("PUT", f"/v1/users/u{number}", site.keys["admin_key"], {})["revision"]
            assert site.ask(reading, min_revision=revision).json()["revision"] >= revision
        revision = site.revoke(first)
        assert site.ask(first).json()["reason"] == "revoked_key"
        until(lambda: site.ask(second).json()["revision"] >= revision)
        assert site.ask(second).json()["reason"] == "revoked_key"
    assert_sound(f"sqlite:///{site.database}", {f"u{number}" for number in range(6)})


def test_a_server_killed_in_mid_write_loses_no_answered_change(site: Site) -> None:
    """Whatever was answered is there, whole; the next start needs no help."""
    server = site.server()
    answered: list[str] = []
    threads = [threading.Thread(target=_write_until_it_ends, args=(site, server, n, answered)) for n in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(answered) >= 20)
    server._process.kill()
    for thread in threads:
        thread.join()
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    assert_sound(f"sqlite:///{site.database}", set(answered))
    with site.server() as again:
        assert_allowed(site.ask(again))
        assert site.write(again).status_code == 201


def _write_until_it_ends(site: Site, server: Server, name: int, answered: list[str]) -> None:
    headers = {"Authorization": f"Bearer {site.keys['admin_key']}"}
    with (
        contextlib.suppress(httpx.TransportError),
        httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client,
    ):
        for number in range(100_000):
            user = f"t{name}-{number}"
            if client.put(f"/v1/users/{user}", json={}, headers=headers).status_code == 201:
                answered.append(user)


@pytest.fixture(autouse=True)
def no_traceback(request: pytest.FixtureRequest) -> Iterator[None]:
    """No fault is a bug: none of the servers prints a traceback."""
    servers: list[Server] = []
    real = Server.__init__

    def noting(self: Server, *given: Any, **more: Any) -> None:
        servers.append(self)
        real(self, *given, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Server, "__init__", noting)
        yield
    for server in servers:
        assert "Traceback" not in server.text()
        assert "unexpected" not in server.text()
