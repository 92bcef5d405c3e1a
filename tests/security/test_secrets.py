"""Secrets are shown once and are nowhere else: logs, tracebacks, metrics, errors, the store's files, arguments."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import COMMAND, ROOT, answer, command, environment
from tests.security.counting import Attacks
from tests.security.house import House

KIND = "secrets: places searched"


def forms(secret: str) -> dict[str, bytes]:
    """A secret as it might stand somewhere: plain, its secret part alone, in hex, in base64, reversed."""
    plain = secret.encode()
    part = plain[16:-6] if len(plain) > 40 else plain
    found = {"plain": plain, "secret part": part, "hex": part.hex().encode(), "HEX": part.hex().upper().encode()}
    for name, padded in (("base64", b""), ("base64 + 1", b"x"), ("base64 + 2", b"xx")):
        # The middle, which does not depend on what stands around it.
        found[name] = base64.b64encode(padded + part)[4:-4]
    return {name: form for name, form in found.items() if len(form) >= 12}


def found_in(place: bytes, secrets: Iterable[str]) -> list[str]:
    """Which forms of which secrets stand in a place (never the secret itself, which a failing test would print)."""
    return [
        f"{form} of secret {number}"
        for number, secret in enumerate(secrets)
        for form, text in forms(secret).items()
        if text in place
    ]


class Scene:
    """A server at debug level, to whom everything was done that might make it talk."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.house = House(data_dir, POLICY_SERVICE_LOG_LEVEL="debug", POLICY_SERVICE_TRACEBACK="1")
        self.answers: list[bytes] = []
        self.arguments: set[bytes] = set()
        self.printed: list[str] = []
        keys = [str(key) for key in (*self.house.init.values(), *self.house.keys.values())]
        self.secrets = sorted({key for key in keys if len(key) > 40 and key.startswith("psx_")})

    def play(self) -> None:
        """Good and bad uses of every secret, in every place where one might be put by mistake."""
        house = self.house
        for secret in self.secrets:
            for place in (
                {"key": secret}, {"key": secret, "scope": secret, "resource": secret},
                {"key": secret + "x", "scope": "pipelines:run", "resource": "pipeline:x"},
                {"key": secret, "scope": "pipelines:run", "resource": "pipeline:x", "source_ip": secret},
                {"key": secret, "scope": "pipelines:run", "resource": "pipeline:x", "context": {"ticket": secret}},
            ):  # fmt: skip
                self._keep("POST", "/decide", house.keys["caller"], json=place)
                self._keep("POST", "/decide", secret, json=place, params={"explain": "true"})
            self._keep("POST", "/decide", house.keys["caller"], content=f'{{"key": "{secret}", }}')
            self._keep("POST", "/decide", house.keys["caller"], content=b'{"key": "' + secret.encode() + b"\xff")
            self._keep("GET", "/v1/keys", secret)
            self._keep("GET", "/metrics", secret)
            house.raw(f"GET / HTTP/1.1\r\nAuthorization Bearer {secret}\r\n\r\n".encode())
            house.raw(f"\x00{secret}\r\n\r\n".encode())
            house.raw(
                f"POST /decide HTTP/1.1\r\nAuthorization: Bearer {secret}\r\nContent-Length: 9\r\n\r\n{{".encode()
            )

    def _keep(self, method: str, path: str, key: str | None, **more: Any) -> None:
        response = self.house.call(method, path, key, **more)
        head = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
        self.answers.append(head.encode() + b"\n\n" + response.content)

    def watch(self, stop: threading.Event) -> None:
        """Read the arguments of every process again and again."""
        while not stop.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.arguments.add(path.read_bytes())
                except OSError:
                    continue
            time.sleep(0.02)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Everything done, the server still running."""
    scene = Scene(tmp_path_factory.mktemp("secrets") / "data")
    with scene.house.server:
        scene.play()
        yield scene
        scene.house.close()


def test_no_answer_repeats_a_secret(scene: Scene, attacks: Attacks) -> None:
    """Decisions, explanations, errors with the very text that was wrong, lists, metrics: none shows a key."""
    attacks(KIND, len(scene.answers))
    echoed = [place for place in scene.answers if any(secret.encode() in place for secret in scene.secrets)]
    # A scope or a resource is no secret's place: whoever puts a key there is told what is wrong, by its name.
    assert [place[-300:] for place in echoed if b'"decision"' in place] == []
    metrics = scene.house.call("GET", "/metrics", None).content
    assert found_in(metrics, scene.secrets) == []


def test_the_log_at_debug_level_holds_no_secret(scene: Scene, attacks: Attacks) -> None:
    """Nor a traceback, nor a pepper."""
    log = scene.house.server.text().encode()
    attacks(KIND)
    assert found_in(log, [*scene.secrets, *peppers(scene.data_dir)]) == []
    assert b"Traceback" not in log


def peppers(data_dir: Path) -> list[str]:
    """Every long text in the pepper file."""
    content = (data_dir / "pepper").read_text()
    try:
        texts = json.loads(content)
    except ValueError:
        return [word for word in content.split() if len(word) >= 20]
    found: list[str] = []
    todo = [texts]
    while todo:
        item = todo.pop()
        todo += item.values() if isinstance(item, dict) else item if isinstance(item, list) else []
        if isinstance(item, str) and len(item) >= 20:
            found.append(item)
    return found


def test_the_files_of_the_store_hold_no_secret(scene: Scene, attacks: Attacks) -> None:
    """Database, write-ahead log, shared memory, while the server runs: verifiers stand there, the pepper apart."""
    files = [path for path in scene.data_dir.rglob("*") if path.is_file()]
    assert {"policy.db", "policy.db-wal", "pepper"} <= {path.name for path in files}
    assert peppers(scene.data_dir)
    for path in files:
        attacks(KIND)
        content = path.read_bytes()
        assert found_in(content, scene.secrets) == [], path.name
        if path.name != "pepper":
            assert found_in(content, peppers(scene.data_dir)) == [], path.name


def test_no_process_is_given_a_secret_as_an_argument(scene: Scene, attacks: Attacks) -> None:
    """Not the server, nor the commands that need a key: they take it from the environment or standard input."""
    stop = threading.Event()
    watcher = threading.Thread(target=scene.watch, args=(stop,), daemon=True)
    watcher.start()
    try:
        key = scene.house.init["system_key"]
        runs: list[tuple[tuple[str, ...], str]] = [
            (("users", "list", "--workspace", "demo", "--url", scene.house.server.url), ""),
            (
                ("decide", "--data-dir", str(scene.data_dir), "--scope", "pipelines:run", "--resource", "pipeline:x"),
                key,
            ),
        ]
        for arguments, stdin in runs:
            done = subprocess.run(
                [*COMMAND, *arguments], input=stdin, text=True, capture_output=True, cwd=ROOT, timeout=60, check=False,
                env=environment(POLICY_SERVICE_KEY=key),
            )  # fmt: skip
            assert found_in((done.stdout + done.stderr).encode(), scene.secrets) == []
    finally:
        stop.set()
        watcher.join()
    attacks(KIND, len(scene.arguments))
    assert any(b"users" in line for line in scene.arguments), "the watcher saw the commands"
    assert found_in(b"\n".join(scene.arguments), scene.secrets) == []


def test_a_key_is_printed_once_and_by_nothing_else(tmp_path: Path, attacks: Attacks) -> None:
    """`keys create` shows it; `keys list`, `get` and a traceback of the command do not."""
    data = tmp_path / "data"
    answer("init", "--data-dir", data)
    local = ("--workspace", "system", "--data-dir", data)
    made = answer("keys", "create", "--service", "operator", "--scope", "decisions:evaluate", *local)["data"]
    secrets = [made["key"]]
    for arguments in (
        ("keys", "list"),
        ("keys", "list", "--json"),
        ("keys", "get", made["id"]),
        ("changes", "list"),
        ("changes", "list", "--json"),
    ):
        done = command(*arguments, *local, POLICY_SERVICE_TRACEBACK="1")
        attacks(KIND)
        assert done.returncode == 0, done.stderr
        assert found_in((done.stdout + done.stderr).encode(), secrets) == []
    (data / "policy.db").write_bytes(b"no database at all")
    for arguments in (("serve", "--port", "0", "--data-dir", data), ("keys", "list", *local)):
        done = command(*arguments, POLICY_SERVICE_TRACEBACK="1", POLICY_SERVICE_KEY=made["key"])
        attacks(KIND)
        assert done.returncode == 2
        assert found_in((done.stdout + done.stderr).encode(), secrets) == []
