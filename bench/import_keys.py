"""Keys imported a second, and how long a server then takes to start: `python -m bench.import_keys [COUNT] [hashed]`.

On SQLite with its default durability, in a temporary folder; the command and the server are those that people use.
"""

from __future__ import annotations

import json
import os
import resource
import secrets
import sys
import tempfile
import time
from pathlib import Path

from policy_service.model.api_key import format_api_key
from policy_service.service.identifiers import RandomIds
from policy_service.service.peppers import Peppers
from tests.e2e.processes import COMMAND, ROOT, Server, answer, environment

SERVICE = {"kind": "service", "id": "ci"}
SCOPES = ["pipelines:read", "pipelines:run"]


def lines(count: int, peppers: Peppers | None) -> tuple[list[str], str | None]:
    """The file's lines; with peppers every secret is hashed already, and one key's text is known."""
    ids, text = RandomIds(), None
    made = []
    for number in range(count):
        line = {"principal": SERVICE, "scopes": SCOPES, "labels": {"number": str(number)}}
        if peppers is not None:
            key_id = ids.key_id()
            text = format_api_key("psx", key_id, ids.secret())
            verifier = peppers.verifier(peppers.current, text).hex()
            line |= {"id": key_id, "pepper_id": peppers.current, "verifier": verifier}
        made.append(json.dumps(line) + "\n")
    return made, text


def run_import(folder: Path, file: Path) -> float:
    """Seconds that the command takes, its start and both passes included."""
    arguments = ["keys", "import", str(file), "--workspace", "demo", "--out", str(folder / "new.jsonl")]
    started = time.perf_counter()
    code = os.spawnve(
        os.P_WAIT,
        COMMAND[0],
        [*COMMAND, *arguments, "--data-dir", str(folder / "data")],
        environment(),
    )
    assert code == 0, code
    return time.perf_counter() - started


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    hashed = "hashed" in sys.argv[2:]
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = answer("init", "--demo", "--data-dir", folder / "data")
        peppers = Peppers.load(folder / "data" / "pepper") if hashed else None
        made, text = lines(count, peppers)
        file = folder / "keys.jsonl"
        file.write_text("".join(made))
        took = run_import(folder, file)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        size = (folder / "data" / "policy.db").stat().st_size / 1e6
        kind = "hashed" if hashed else "new"
        print(f"{count} {kind} keys imported in {took:.1f} s ({count / took:.0f}/s)", end=", ")
        print(f"{peak} MB of memory at most, {size:.0f} MB on disk")
        if text is None:
            with (folder / "new.jsonl").open() as written:
                text = json.loads(
                    [line for line, _ in zip(written, range(secrets.randbelow(count) + 1), strict=False)][-1]
                )["key"]
        started = time.perf_counter()
        with Server(folder / "data") as server:
            listening = time.perf_counter() - started
            question = {
                "key": text,
                "scope": "pipelines:run",
                "resource": {"type": "pipeline", "id": "x", "workspace": "demo"},
            }
            assert server.decide(keys["caller_key"], **question)["reason"] == "allowed"
            memory = rss_mb(server)
        print(f"a server on them listens after {listening:.1f} s and holds {memory} MB")


def rss_mb(server: Server) -> int:
    """Resident memory of a running server; 0 where the system does not tell."""
    status = Path(f"/proc/{server._process.pid}/status")
    found = [line for line in status.read_text().splitlines() if line.startswith("VmRSS")] if status.exists() else []
    return int(found[0].split()[1]) // 1024 if found else 0


if __name__ == "__main__":
    main()
