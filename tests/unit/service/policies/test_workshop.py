"""Programs that another process makes: the same as those made here, or none and an error that says so."""

from __future__ import annotations

import gc
import linecache
import logging
import os
import pickle
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.policy_check import policy_files
from policy_service.engine.link import compile_policy
from policy_service.language.load import load, load_policy
from policy_service.model.errors import PolicyErrors, StoreError
from policy_service.service.policies import policy_maker
from policy_service.service.policies.workshop import FAILED, Workshop
from policy_service.service.policies.workshop_messages import CompiledPart, Done, Outline, Pipe, Rules, yielding
from tests.unit.service.house import OPERATOR, OTHER_FILES, RULE_FILES, House

FILES = policy_files(120)
FILES["networks.yaml"] = "networks:\n  office: [203.0.113.0/24, 2001:db8::/32]\n"
FILES["resources/type-2.yaml"] += """\
  - {name: patterned, effect: allow, when: 'resource.id.matches("^etl-[0-9]+$")'}
  - {name: endless, effect: deny, when: 'resource.id == "x" && 1.0 / 0.0 > 2.0', message: "ü \\u2028 …"}
"""
DIGEST = load_policy(FILES).digest


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    with Workshop(small=0) as made:
        yield made


def child_of(workshop: Workshop) -> subprocess.Popen[bytes]:
    assert workshop._child is not None
    return workshop._child


def refusal(workshop: Workshop) -> StoreError:
    with pytest.raises(StoreError) as raised:
        workshop.make(FILES)
    return raised.value


def test_equal_to_what_is_made_here(workshop: Workshop) -> None:
    """Policy, text, constants and code."""
    made, here = workshop.make(FILES), compile_policy(load_policy(FILES))
    assert (made.digest, made.policy, made.parts) == (here.digest, here.policy, here.parts)
    there, expected = (one.decide.__globals__ for one in (made, here))  # type: ignore[attr-defined]  # functions
    assert there.keys() == expected.keys()
    functions = [name for name, value in expected.items() if callable(value) and hasattr(value, "__code__")]
    assert sum(name.startswith("shape_") for name in functions) == 20
    assert all(there[name].__code__ == expected[name].__code__ for name in functions if name[0] != "S")
    matches = [name for name in expected if name.endswith("_MATCHES")]
    assert [(there[name]("etl-7"), there[name]("etl-x")) for name in matches] == [(True, False)]
    assert list(linecache.getlines(made.decide.__code__.co_filename)) == made.parts[-1].splitlines(keepends=True)  # type: ignore[attr-defined]  # likewise


def test_one_process_makes_one_after_the_other(workshop: Workshop) -> None:
    """It remembers the last one, which changes nothing."""
    first = workshop.make(FILES)
    process = child_of(workshop).pid
    edited = {**FILES, "resources/type-1.yaml": FILES["resources/type-1.yaml"].replace("frozen", "thawed")}
    again = [workshop.make(files) for files in (edited, FILES)]
    assert [one.policy for one in again] == [load_policy(edited), first.policy]
    assert child_of(workshop).pid == process


def test_mistakes_are_told_as_here_and_the_process_lives_on(workshop: Workshop) -> None:
    broken = {**FILES, "scopes.yaml": "scopes: {}\n", "resources/type-9.yaml": "nonsense: [\ud800"}
    with pytest.raises(PolicyErrors) as raised:
        workshop.make(broken)
    assert raised.value.diagnostics == load(broken).diagnostics
    assert len(raised.value.diagnostics) > 100
    process = child_of(workshop).pid
    assert workshop.make(FILES).digest == DIGEST
    assert child_of(workshop).pid == process


def test_small_policies_are_made_here() -> None:
    """No process is started for them."""
    with Workshop() as workshop:
        assert workshop.make(RULE_FILES).digest == load_policy(RULE_FILES).digest
        with pytest.raises(PolicyErrors):
            workshop.make({"chain.yaml": "nonsense"})
        assert workshop._child is None


def test_the_process_has_nothing_of_the_service(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret from the environment, no descriptor but its three, and not this folder."""
    monkeypatch.setenv("POLICY_SERVICE_KEY", "secret")
    monkeypatch.setenv("POLICY_SERVICE_DATABASE_URL", "postgresql://secret")
    workshop.make(FILES)
    process = Path("/proc", str(child_of(workshop).pid))
    assert b"secret" not in (process / "environ").read_bytes()
    assert b"POLICY_SERVICE" not in (process / "environ").read_bytes()
    assert os.readlink(process / "cwd") == "/"
    assert {int(one.name) for one in (process / "fd").iterdir()} == {0, 1, 2, 3}


def test_it_ends_with_the_workshop() -> None:
    with Workshop(small=0) as workshop:
        workshop.make(FILES)
        child = child_of(workshop)
    assert child.poll() is not None


def test_it_ends_when_nobody_asks_and_another_one_begins(workshop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    """An answer that a process did not live to give is asked for again."""
    workshop.make(FILES)
    child = child_of(workshop)
    child.kill()
    child.wait()
    with caplog.at_level(logging.WARNING):
        assert workshop.make(FILES).digest == DIGEST
    assert "failed at attempt 1" in caplog.text
    assert child_of(workshop) is not child


def test_an_idle_process_ends_by_itself() -> None:
    code = "from policy_service.service.policies.policy_maker import main; main(0.1)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.wait(30) == 0


def answers(*messages: object) -> str:
    """A process that reads a job, answers so, and waits."""
    frames = b"".join(len(data).to_bytes(4, "big") + data for data in map(pickle.dumps, messages))
    return (
        f"import sys, os, time; os.read(0, 1 << 20); sys.stdout.buffer.write({frames!r});"
        "sys.stdout.buffer.flush(); time.sleep(60)"
    )


def sound() -> list[object]:
    return list(policy_maker.made(FILES, policy_maker.Memory()))


def without(kind: type) -> list[object]:
    """An answer in which one message is missing."""
    said = sound()
    said.remove(next(one for one in said if isinstance(one, kind)))
    return said


def misnamed() -> list[object]:
    *said, done = sound()
    assert isinstance(done, Done)
    return [*said, Done("sha256:other", done.parts, done.rules)]


def of_another_policy() -> list[object]:
    """The parts of one policy under the outline of another."""
    other = list(policy_maker.made(policy_files(120), policy_maker.Memory()))
    parts = [one for one in other if isinstance(one, CompiledPart)]
    return [*(one for one in sound() if not isinstance(one, CompiledPart | Done)), *parts, sound()[-1]]


def unreadable_code() -> list[object]:
    return [CompiledPart(one.part, b"nonsense") if isinstance(one, CompiledPart) else one for one in sound()]


NONSENSE: dict[str, Callable[[], str]] = {
    "it ended": lambda: "pass",
    "it talks nonsense: ": lambda: "print('hello', flush=True); print('x' * 2000000, flush=True)",
    "it was silent": lambda: "import time; time.sleep(60)",
    "it talks nonsense": lambda: answers("hello"),
    "unexpected": lambda: answers(sound()[0], "hello"),
    "a rule is missing": lambda: answers(*without(Rules)),
    "a part is missing": lambda: answers(*without(CompiledPart)),
    "no outline": lambda: answers(*without(Outline)),
    "another digest": lambda: answers(*misnamed()),
    "another policy": lambda: answers(*of_another_policy()),
    "unreadable code": lambda: answers(*unreadable_code()),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_a_process_that_fails_or_talks_nonsense_makes_no_program(what: str, tmp_path: Path) -> None:
    """Tried twice, then said; no process stays, no line of generated text."""
    script = tmp_path / "maker.py"
    script.write_text(NONSENSE[what]())
    with Workshop(small=0, command=[sys.executable, str(script)], patience_s=1.5) as workshop:
        assert refusal(workshop).code == FAILED
        assert workshop._child is None
    assert not [name for name in linecache.cache if DIGEST[:19] in name]
    assert gc.isenabled()


def test_a_process_that_cannot_be_started_makes_no_program(tmp_path: Path) -> None:
    with Workshop(small=0, command=[str(tmp_path / "none")]) as workshop:
        assert refusal(workshop).code == FAILED


def test_a_program_that_nobody_uses_leaves_nothing(workshop: Workshop) -> None:
    """The garbage collector does not see it, so it takes itself apart."""
    program = workshop.make(FILES)
    index = weakref.ref(next(value for name, value in program.decide.__globals__.items() if "resource_policy" in name))  # type: ignore[attr-defined]  # a function
    del program
    assert index() is None
    assert not [name for name in linecache.cache if DIGEST[:19] in name]


def test_between_slices_others_have_their_turn() -> None:
    """For as long as the slice took, at least."""
    rests: list[float] = []
    rest = yielding(rests.append, least_s=0.002)
    began = time.thread_time()
    while time.thread_time() - began < 0.02:
        pass
    rest()
    rest()
    assert rests[0] >= 0.02
    assert rests[1] == 0.002


def test_a_frame_past_all_measure_is_nonsense() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"\xff\xff\xff\xff")
    with pytest.raises(Exception, match="nonsense"):
        Pipe(reading, writing).receive()
    os.close(reading)
    os.close(writing)


def test_bundles_are_made_by_it_once(house: House, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Published, activated and linked ahead: one job; this process neither checks nor compiles."""
    jobs: list[object] = []

    def make(files: object) -> object:
        jobs.append(files)
        return workshop.make(files)  # type: ignore[arg-type]  # the files

    house.bundles.use(make)  # type: ignore[arg-type]  # as above
    for name in ("load_policy", "compile_policy"):
        monkeypatch.setattr(f"policy_service.service.policies.bundles.{name}", lambda _: 1 // 0)
    issued = house.key()
    published = house.bundles.publish(OPERATOR, OTHER_FILES).fact
    assert published is not None
    assert house.bundles.ready_program(published.digest) is not None
    assert house.bundles.activate(OPERATOR, published.digest).created is False
    answered = house.decide(issued.text, resource="pipeline:locked-1")
    assert (answered.decision.allowed, answered.decision.bundle) == (True, published.digest)
    assert len(jobs) == 1


def test_where_it_fails_the_old_bundle_decides_on(house: House) -> None:
    """Nothing is published, nothing activated; mistakes and failures are told apart."""
    issued = house.key()
    other = house.bundles.publish(OPERATOR, OTHER_FILES).fact
    assert other is not None
    before = house.store.head()
    broken = Workshop(small=0, command=["false"])
    house.bundles.use(broken.make)
    for use in (
        lambda: house.bundles.publish(OPERATOR, {**OTHER_FILES, "roles.yaml": "roles: {}\n"}),
        lambda: house.bundles.activate(OPERATOR, other.digest),
        lambda: house.bundles.set_shadow(OPERATOR, other.digest),
    ):
        with pytest.raises(StoreError) as raised:
            use()
        assert raised.value.code == FAILED
    assert house.store.head() == before
    assert house.decide(issued.text, resource="pipeline:locked-1").decision.reason == "locked"
