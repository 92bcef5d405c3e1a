"""Rule files of an attacker through `policy check`: a child bounded in memory and time always ends, with an answer."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.processes import COMMAND, ROOT, environment
from tests.security.counting import Attacks
from tests.unit.language.folders import small
from tests.unit.language.test_hostile import HOSTILE

KIND = "hostile rule files"
MEMORY = 3 << 30
"""Bytes of address space that the child may take; libraries alone map most of one GiB."""
RESIDENT = 1200 << 20
SECONDS = 60
"""Of processor time."""


class Checked(NamedTuple):
    """What came of one `policy check`."""

    code: int
    output: str
    seconds: float
    resident: int


def check(folder: Path) -> Checked:
    """Run it as a child that the system ends if it takes too much."""

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    child = subprocess.Popen(
        [*COMMAND, "policy", "check", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=environment(), cwd=ROOT, preexec_fn=bounded,  # noqa: PLW1509 - it sets limits, no more
    )  # fmt: skip
    guard = threading.Timer(5 * SECONDS, child.kill)
    guard.start()
    assert child.stdout is not None
    output = child.stdout.read().decode()
    child.stdout.close()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    guard.cancel()
    return Checked(child.returncode, output, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def write(folder: Path, files: dict[str, str]) -> Path:
    """A folder of rule files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return folder


def judge(folder: Path, attacks: Attacks) -> Checked:
    """It must end by itself: yes or no, never a signal, a traceback or a full memory."""
    start = time.monotonic()
    checked = check(folder)
    attacks(KIND)
    assert checked.code in (0, 1, 2), (checked.code, checked.output[-500:], time.monotonic() - start)
    assert "Traceback" not in checked.output
    assert "MemoryError" not in checked.output
    assert "[unforeseen]" not in checked.output, checked.output[-500:]
    assert checked.seconds < SECONDS / 2
    assert checked.resident < RESIDENT
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert len(checked.output) < (1 << 20) + 32 * size, "every mistake is told, and each is short"
    return checked


YAML = {
    **HOSTILE,
    "tag-python-name": "roles: !!python/name:os.system",
    "tag-python-object": 'roles: !!python/object/apply:os.system ["touch hostile-was-here"]',
    "tag-python-module": "roles: !!python/module:subprocess",
    "tag-own": "roles: !include /etc/passwd",
    "tag-directive": "%TAG ! tag:yaml.org,2002:python/\n---\nroles: !object/apply:os.system [id]",
    "tag-binary": "roles: !!binary " + "QUFB" * 100_000,
    "anchor-self": "roles: &a [*a]",
    "anchor-merge": "roles: {<<: &a {<<: *a}}",
    "merge-bomb": "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40)),
    "many-documents": "---\n" * 200_000,
    "yaml-1.1-numbers": "roles: " + "1:" * 50_000 + "0",
    "huge-integer": "roles: " + "9" * 1_000_000,
    "huge-hex": "roles: 0x" + "f" * 1_000_000,
    "huge-exponent": "roles: 1e" + "9" * 100_000,
}
QUICK_YAML = ("billion-laughs", "deep-flow", "tag-python-object", "tag-own", "anchor-self", "merge-bomb")
CONDITIONS = {
    "deep-parentheses": "(" * 20_000 + "true" + ")" * 20_000,
    "deep-not": "!" * 50_000 + "true",
    "deep-minus": "0 == " + "-" * 50_000 + "1",
    "deep-ternary": "true ? " * 5_000 + "true" + " : false" * 5_000,
    "deep-list": "[" * 10_000 + "]" * 10_000 + " == []",
    "deep-select": "resource" + ".attr" * 50_000,
    "deep-index": "[[1]]" + "[0]" * 50_000 + " == 1",
    "long-or": " || ".join(["request.scope == 'a'"] * 50_000),
    "long-and": " && ".join(["true"] * 100_000),
    "long-sum": "+".join(["1"] * 100_000) + " == 1",
    "long-text": "'" + "x" * 900_000 + "' == ''",
    "huge-list": "request.scope in [" + ",".join(f"'{n}'" for n in range(100_000)) + "]",
    "huge-integer": "1 == " + "9" * 100_000,
    "nested-macros": "[1,2,3,4,5,6,7,8,9]" + ".all(a, [1,2,3,4,5,6,7,8,9]" * 12 + ".all(z, true)" + ")" * 12,
    "exponential-macros": ".exists(x, ".join(["[0,1]"] * 30) + ".exists(y, y > 5)" + ")" * 29,
    "macro-chain": "[1]" + ".map(x, x)" * 3_000 + ".exists(x, true)",
    "regular-expression": "request.scope.matches('" + "(a*)*" * 2_000 + "b')",
    "regular-expression-repeats": "request.scope.matches('((((a{1,99}){1,99}){1,99}){1,99}){1,99}')",
    "regular-expression-classes": "request.scope.matches('" + r"\\pL{500}" * 1_000 + "')",
    "escapes": "'" + "\\u0041" * 100_000 + "' == ''",
    "raw-bytes": "b'" + "\\xff" * 100_000 + "' == b''",
    "comments": "true //" + "x" * 900_000,
    "spaces": " " * 900_000 + "true",
    "quotes": "'" * 900_001,
    "operators": "<" * 500_000,
    "null-bytes": "true\0" * 1000,
    "dunder": "''.__class__.__mro__[1].__subclasses__()",
    "surrogate": "'\ud800' == ''",
    "message": "google.protobuf.Any{type_url: 'x', value: b'" + "x" * 100_000 + "'} == null",
    "dyn": "dyn(" * 10_000 + "1" + ")" * 10_000 + " == 1",
}
QUICK_CONDITIONS = ("deep-parentheses", "long-or", "huge-list", "nested-macros", "exponential-macros", "dunder")


def with_condition(text: str) -> dict[str, str]:
    """Rule files whose one rule has this condition, in quotes of YAML."""
    quoted = "'" + text.replace("'", "''").replace("\0", "\\0") + "'"
    rule = f"resource: thing\ndefault: allow\nrules:\n  - name: a\n    effect: deny\n    when: {quoted}\n"
    return {**small(), "resources/thing.yaml": rule}


@pytest.mark.parametrize("name", QUICK_YAML)
def test_hostile_yaml_is_refused(name: str, tmp_path: Path, attacks: Attacks) -> None:
    """Bombs, tags, anchors: mistakes with their places."""
    assert judge(write(tmp_path, {**small(), "roles.yaml": YAML[name]}), attacks).code == 1
    assert not (ROOT / "hostile-was-here").exists()


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(set(YAML) - set(QUICK_YAML)))
def test_more_hostile_yaml_is_bounded(name: str, tmp_path: Path, attacks: Attacks) -> None:
    """Every other one."""
    judge(write(tmp_path, {**small(), "roles.yaml": YAML[name]}), attacks)
    assert not (ROOT / "hostile-was-here").exists()


@pytest.mark.parametrize("name", QUICK_CONDITIONS)
def test_hostile_conditions_are_bounded(name: str, tmp_path: Path, attacks: Attacks) -> None:
    """Deep, long, exponential, huge, and reaching for Python."""
    judge(write(tmp_path, with_condition(CONDITIONS[name])), attacks)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(set(CONDITIONS) - set(QUICK_CONDITIONS)))
def test_more_hostile_conditions_are_bounded(name: str, tmp_path: Path, attacks: Attacks) -> None:
    """Every other one."""
    judge(write(tmp_path, with_condition(CONDITIONS[name])), attacks)


def test_files_that_are_no_files_are_refused(tmp_path: Path, attacks: Attacks) -> None:
    """A pipe that never ends, a device, a folder named like a file, a link to itself: no wait, no following."""
    folder = write(tmp_path / "rules", small())
    os.mkfifo(folder / "pipe.yaml")
    (folder / "zero.yaml").symlink_to("/dev/zero")
    (folder / "loop.yaml").symlink_to("loop.yaml")
    (folder / "resources" / "up").symlink_to(folder)
    (folder / "folder.yaml").mkdir()
    attacks(KIND, 4)
    assert judge(folder, attacks).code in (1, 2)
