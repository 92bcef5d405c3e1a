"""Several workers on one socket: they spread, follow each other, die, are replaced, and lose nothing of it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.e2e.crews import Lines, Site, lives, pids
from tests.e2e.ledger_house import House as Ledger
from tests.e2e.ledger_house import recorded
from tests.e2e.loads import Load
from tests.e2e.processes import ROOT, Server, answer, command
from tests.waiting import until

DATABASES = ("sqlite", "postgresql")
RULE = "  - name: closed-for-now\n    effect: deny\n    reason: closed_for_now\n"


@pytest.fixture(params=DATABASES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """A demonstration on each database."""
    if request.param == "sqlite":
        return Site(tmp_path / "data")
    url = request.getfixturevalue("empty_postgres_url")
    return Site(tmp_path / "data", POLICY_SERVICE_DATABASE_URL=url)


@pytest.fixture
def lines_to() -> Iterator[list[Lines]]:
    """Connections that are closed in the end."""
    opened: list[Lines] = []
    yield opened
    for lines in opened:
        lines.close()


def connect(server: Server, count: int, opened: list[Lines]) -> Lines:
    """A connection to each worker."""
    lines = Lines(server.url, count)
    opened.append(lines)
    return lines


def check_ledger(site: Site) -> None:
    """Every shard is whole, and every decision of every worker is derived again."""
    for verb in ("verify", "replay"):
        done = command("ledger", verb, "--data-dir", site.data_dir, **site.variables)
        assert done.returncode == 0, (verb, done.stdout + done.stderr)


def test_several_workers_share_the_work(site: Site, lines_to: list[Lines]) -> None:
    """One line says that they listen; each answers, knows the others, and has a shard of its own in the end."""
    with site.server() as server:
        lines = connect(server, site.count, lines_to)
        for worker, client in lines.every().items():
            assert site.ask(client).json()["decision"] == "allow"
            document = client.get("/readyz").json()
            assert document["worker"] == worker
            assert [each["worker"] for each in document["workers"]] == list(range(site.count))
        until(lambda: {each["trouble"] for each in client.get("/readyz").json()["workers"]} == {None})
        assert len(os.listdir(f"/proc/{server.pid}/task")) == 1, "a process with threads must not be forked"
    assert len(re.findall("listening on", server.text())) == 1
    assert len(re.findall("stopped", server.text())) == 1
    assert len(list((site.data_dir / "ledger").glob("*.checkpoint"))) >= site.count
    check_ledger(site)


def test_a_revocation_reaches_every_worker(site: Site, lines_to: list[Lines]) -> None:
    """At once with `min_revision`, soon without; whichever worker answered it."""
    with site.server() as server:
        lines = connect(server, site.count, lines_to)
        for answers in range(site.count):
            strictly, soon = (site.new_key(lines.to(answers)) for _ in range(2))
            allowed = partial(_allowing, site, lines)
            until(lambda: len(allowed(soon["key"])) == site.count)  # noqa: B023 - called at once
            revoked = site.change(lines.to(answers), "POST", f"/v1/keys/{strictly['id']}/revoke")
            for client in lines.every().values():
                decision = site.ask(client, key=strictly["key"], min_revision=revoked["revision"]).json()
                assert (decision["decision"], decision["reason"]) == ("deny", "revoked_key")
            site.change(lines.to(answers), "POST", f"/v1/keys/{soon['id']}/revoke")
            until(lambda: allowed(soon["key"]) == [])  # noqa: B023 - called at once
    check_ledger(site)


def _allowing(site: Site, lines: Lines, key: str) -> list[int]:
    """The workers that allow it."""
    return [
        worker for worker, client in lines.every().items() if site.ask(client, key=key).json()["decision"] == "allow"
    ]


def test_a_change_of_another_process_reaches_every_worker(site: Site, lines_to: list[Lines]) -> None:
    """A command on the same store rings no bell of theirs: the database tells them, or they look."""
    with site.server() as server:
        lines = connect(server, site.count, lines_to)
        done = answer("users", "put", "zoe", "--workspace", "demo", "--data-dir", site.data_dir, **site.variables)
        for worker in range(site.count):
            until(lambda: lines.to(worker).get("/readyz").json()["revision"] >= done["revision"])  # noqa: B023 - called at once


def test_a_bundle_reaches_every_worker(site: Site, lines_to: list[Lines], tmp_path: Path) -> None:
    """Activated over HTTP on one of them."""
    policies = tmp_path / "policies"
    shutil.copytree(ROOT / "policies", policies)
    file = policies / "resources/pipeline.yaml"
    file.write_text(file.read_text().rstrip() + "\n" + RULE)
    with site.server() as server:
        lines = connect(server, site.count, lines_to)
        remote = {"POLICY_SERVICE_KEY": site.keys["system_key"]}
        answer("policy", "activate", policies, "--url", server.url, **remote)
        for worker in range(site.count):
            until(lambda: site.ask(lines.to(worker)).json()["reason"] == "closed_for_now")  # noqa: B023 - called at once
    check_ledger(site)


class Loaded(Ledger):
    """The house of the ledger's own tests, with several workers."""

    def __init__(self, site: Site) -> None:
        self.data_dir, self.keys, self.answered = site.data_dir, site.keys, Counter()


def _check_answered(site: Site, load: Load) -> None:
    """Every decision that was answered is in the ledger once."""
    found = recorded(Loaded(site).lines())
    assert load.answered
    assert [name for name in load.answered if found[name] != 1] == []
    check_ledger(site)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_ends_under_load_loses_no_answered_decision(tmp_path: Path, how: signal.Signals) -> None:
    """The others answer on, and another takes its place; its shard is closed by whoever comes next."""
    site = Site(tmp_path / "data")
    with site.server() as server:
        load = Load(server.url, Loaded(site).requests())

        async def scene() -> None:
            load.start(16)
            await load.answers(1000)
            old = pids(server)
            os.kill(old[0], how)
            # Callers whom the worker left behind do not come again: from here on only the others answer.
            await load.cut_off(1)
            await load.answers(1000)
            await asyncio.to_thread(until, lambda: "answers again" in server.text())
            new = pids(server)
            assert len(new) == site.count
            assert len(set(new) & set(old)) == site.count - 1
            await load.stop()

        asyncio.run(scene())
        assert set(load.statuses) <= {200}
    _check_answered(site, load)


def test_a_server_that_is_told_to_stop_answers_what_it_has(tmp_path: Path) -> None:
    """Every worker finishes and closes its shard; the exit code is 0."""
    site = Site(tmp_path / "data")
    server = site.server()
    load = Load(server.url, Loaded(site).requests())

    async def scene() -> None:
        load.start(16)
        await load.answers(1000)
        assert await asyncio.to_thread(server.stop) == 0, server.text()
        await load.ended()

    asyncio.run(scene())
    assert set(load.statuses) <= {200}
    assert list((site.data_dir / "ledger").glob("*.lock")) == []
    _check_answered(site, load)


def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    """However it ended: nobody would start them anew or stop them. They close their shards."""
    site = Site(tmp_path / "data")
    server = site.server()
    workers = pids(server)
    assert len(workers) == site.count
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    until(lambda: not any(lives(pid) for pid in workers))
    assert list((site.data_dir / "ledger").glob("*.lock")) == []
    check_ledger(site)


def test_every_worker_reads_its_peppers_anew(tmp_path: Path, lines_to: list[Lines]) -> None:
    """SIGHUP to the supervisor: keys made under the new pepper work on each of them."""
    site = Site(tmp_path / "data")
    with site.server() as server:
        lines = connect(server, site.count, lines_to)
        answer("peppers", "rotate", "--data-dir", site.data_dir)
        os.kill(server.pid, signal.SIGHUP)
        until(lambda: server.text().count("`p2` is current") == site.count)
        made = site.new_key(lines.to(0))
        for client in lines.every().values():
            assert site.ask(client, key=made["key"], min_revision=site_head(client)).json()["decision"] == "allow"


def site_head(client: httpx.Client) -> int:
    """The revision that a worker has seen."""
    revision: int = client.get("/readyz").json()["revision"]
    return revision


def test_metrics_are_those_of_all_workers(tmp_path: Path, lines_to: list[Lines]) -> None:
    """By worker, whichever is asked; a worker that is down is seen by the others."""
    site = Site(tmp_path / "data")
    with site.server() as server:
        lines = connect(server, site.count, lines_to)
        for worker in range(site.count):
            for _ in range(3 + worker):
                site.ask(lines.to(worker))

        def told(worker: int) -> dict[str, float]:
            text = lines.to(worker).get("/metrics").text
            return {name: float(value) for name, value in re.findall(r"^(policy_service_\S+) (\S+)$", text, re.M)}

        allowed = 'policy_service_decisions_total{decision="allow",reason="allowed",worker="%d"}'
        expected = {allowed % worker: 3.0 + worker for worker in range(site.count)}
        for worker in range(site.count):
            well = {
                f'policy_service_worker_up{{worker="{1 - worker}"}}': 1.0,
                f'policy_service_lag_revisions{{worker="{1 - worker}"}}': 0.0,
            }
            until(lambda: {**expected, **well}.items() <= told(worker).items())  # noqa: B023 - called at once
        # Nobody connects to a worker that stands still: the others take from the same queue.
        stopped = pids(server)[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            until(lambda: _down(server) == 1)
        finally:
            os.kill(stopped, signal.SIGCONT)
        until(lambda: _down(server) == 0)


def _down(server: Server) -> int | None:
    """How many workers do not decide, as one that answers says."""
    try:
        text = httpx.get(f"{server.url}/metrics", timeout=3, trust_env=False).text
    except httpx.HTTPError:
        return None
    return len(re.findall(r"^policy_service_worker_up\S+ 0.0$", text, re.M))


def save(file: Path, text: str) -> None:
    """Put a text in a file's place at once: nobody sees a half, which would be another mistake."""
    beside = file.parents[2] / "saved"
    beside.write_text(text)
    beside.replace(file)


def test_one_worker_watches_the_rule_files_for_all(tmp_path: Path, lines_to: list[Lines]) -> None:
    """A broken edit is told by each; when the watcher is killed it has a successor, who takes the mended one."""
    policies = tmp_path / "policies"
    shutil.copytree(ROOT / "policies", policies)
    file = policies / "resources/pipeline.yaml"
    good = file.read_text()
    site = Site(tmp_path / "data")
    with site.server("--policies", policies) as server:
        lines = connect(server, site.count, lines_to)
        save(file, good + "nonsense: [\n")
        for worker in range(site.count):
            until(lambda: lines.to(worker).get("/readyz").json()["policy"]["error"])  # noqa: B023 - called at once
        until(lambda: "have mistakes" in server.text())
        assert server.text().count("have mistakes") == 1
        for killed, pid in enumerate(pids(server)):
            os.kill(pid, signal.SIGKILL)
            until(lambda: server.text().count("answers again") == 1 + killed)  # noqa: B023 - called at once
        save(file, good.rstrip() + "\n" + RULE)
        for worker in range(site.count):
            until(lambda: site.ask(lines.to(worker)).json()["reason"] == "closed_for_now")  # noqa: B023 - called at once
            until(lambda: lines.to(worker).get("/readyz").json()["policy"]["error"] is None)  # noqa: B023 - called at once


def test_facts_of_unknown_age_are_decided_on_by_no_worker(tmp_path: Path, lines_to: list[Lines]) -> None:
    """503 `stale` from each once the store is out of reach for too long; all of them decide again when it is back."""
    site = Site(tmp_path / "data")
    away = tmp_path / "away"
    with site.server(POLICY_SERVICE_MAX_STALENESS_S="1") as server:
        lines = connect(server, site.count, lines_to)
        clients = lines.every()
        away.mkdir()
        move_database(site.data_dir, away)
        for client in clients.values():
            until(lambda: _is_stale(site, client))  # noqa: B023 - called at once
        move_database(away, site.data_dir)
        for client in clients.values():
            until(lambda: site.ask(client).status_code == 200)  # noqa: B023 - called at once


def move_database(source: Path, target: Path) -> None:
    """With its write-ahead log. The log goes away last and comes first: without it the facts would be older ones."""
    files = sorted(source.glob("policy.db*"), reverse=target.name != "away")
    for file in files:
        file.rename(target / file.name)


def _is_stale(site: Site, client: httpx.Client) -> bool:
    response = site.ask(client)
    return response.status_code == 503 and response.json()["code"] == "stale"


def test_a_worker_that_cannot_start_again_is_tried_ever_less_often(tmp_path: Path) -> None:
    """The others answer meanwhile; once it can, it does. When none is left, the server ends with the reason."""
    site = Site(tmp_path / "data")
    with site.server() as server:
        (site.data_dir / "pepper").rename(tmp_path / "pepper")
        os.kill(pids(server)[0], signal.SIGKILL)
        until(lambda: server.text().count("[missing_pepper]") >= 2)
        until(lambda: "starts in 0.2 s" in server.text() and "starts in 0.4 s" in server.text())
        assert server.decide(site.keys["caller_key"], **site.question())["decision"] == "allow"
        (tmp_path / "pepper").rename(site.data_dir / "pepper")
        until(lambda: "answers again" in server.text())
    server = site.server()
    (site.data_dir / "pepper").unlink()
    for pid in pids(server):
        os.kill(pid, signal.SIGKILL)
    until(lambda: server.poll() is not None)
    assert server.poll() == 2
    until(lambda: "[missing_pepper]" in server.text())
