"""The snapshot file under real servers: made, started from, gone over to by every worker, never believed when bad."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.crews import Lines, Site
from tests.e2e.processes import Server, answer, command
from tests.waiting import until

FEW = {"POLICY_SERVICE_SNAPSHOT_EVERY": "5"}


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """A demonstration on each database."""
    more = (
        {}
        if request.param == "sqlite"
        else {"POLICY_SERVICE_DATABASE_URL": request.getfixturevalue("empty_postgres_url")}
    )
    return Site(tmp_path / "data", **FEW, **more)


def files(site: Site) -> list[Path]:
    return sorted((site.data_dir / "snapshot").glob("*.facts"))


def maps(server: Server, file: Path) -> int:
    """How many of a server's processes have a file in memory."""
    found = 0
    for process in [server.pid, *_children(server.pid)]:
        found += str(file) in Path(f"/proc/{process}/maps").read_text()
    return found


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_every_worker_goes_over_to_the_file_and_starts_from_it(site: Site) -> None:
    """One makes it; all have it in memory, decide as before, and begin with it the next time."""
    with site.server() as server:
        until(lambda: bool(files(site)) and maps(server, files(site)[-1]) >= 1)
        lines = Lines(server.url, site.count)
        for client in lines.every().values():
            assert site.ask(client).json()["decision"] == "allow"
        key = site.new_key(lines.to(1))
        for number in range(10):
            site.change(lines.to(0), "PUT", f"/v1/users/u{number}", {})
        until(lambda: maps(server, files(site)[-1]) == site.count)
        revoked = site.change(lines.to(0), "POST", f"/v1/keys/{key['id']}/revoke")
        for client in lines.every().values():
            decision = site.ask(client, key=key["key"], min_revision=revoked["revision"]).json()
            assert decision["reason"] == "revoked_key"
        lines.close()
    newest = files(site)[-1]
    with site.server() as server:
        # One that was made since may have taken its place in some worker already: each has that one or a newer one.
        until(lambda: sum(maps(server, file) for file in files(site) if file >= newest) >= site.count)
        lines = Lines(server.url, site.count)
        for client in lines.every().values():
            assert site.ask(client).json()["decision"] == "allow"
            assert site.ask(client, key=key["key"]).json()["reason"] == "revoked_key"
        lines.close()


def test_a_bad_file_stops_no_start_and_changes_no_answer(site: Site) -> None:
    """It is passed over with a line in the log."""
    made = answer("snapshot", "--data-dir", site.data_dir, **site.variables)["data"]
    (file,) = files(site)
    assert int(file.stem) == made["revision"]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with Server(site.data_dir, **{**site.variables, "POLICY_SERVICE_SNAPSHOT_EVERY": "100000"}) as server:
        decision = server.decide(site.keys["caller_key"], **site.question())
        assert decision["decision"] == "allow"
        assert maps(server, file) == 0
    assert f"passed over `{file}`" in server.text()


def test_the_command_says_what_it_did(site: Site) -> None:
    """And once more, that there was nothing to do."""
    first = command("snapshot", "--data-dir", site.data_dir, **site.variables)
    assert (first.returncode, "made a snapshot file as of revision" in first.stdout) == (0, True)
    again = command("snapshot", "--data-dir", site.data_dir, **site.variables)
    assert (again.returncode, "already" in again.stdout) == (0, True)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """Of the command; a server logs it and goes on."""
    site = Site(tmp_path / "data")
    (site.data_dir / "snapshot").write_text("in the way")
    done = command("snapshot", "--data-dir", site.data_dir)
    assert done.returncode == 2
    assert "cannot write a snapshot file" in done.stderr
    assert "[snapshot_unwritable]" in done.stderr
