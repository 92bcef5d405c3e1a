"""The shelf that the workers of one server share: what one had made, whole and untouched, or nothing."""

from __future__ import annotations

import logging
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from bench.policy_check import policy_files
from policy_service.language.load import load_policy
from policy_service.model.errors import PolicyErrors
from policy_service.service.policies import shelf as shelves
from policy_service.service.policies.shelf import Shelf, name_of
from policy_service.service.policies.workshop import Workshop

FILES = policy_files(60)
OTHER = policy_files(61)
NAME, OTHER_NAME, THIRD_NAME = (bytes([number]) * 32 for number in range(1, 4))


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    made = Shelf(places=2)
    yield made
    made.close()


def in_another_process(work: Callable[[], object]) -> int:
    """Its exit code: 0 where the work gave something true."""
    process = os.fork()
    if process == 0:
        code = 2
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_what_was_put_is_there_for_every_process(shelf: Shelf) -> None:
    """Put by one that was forked, found here and by another one."""
    assert shelf.get(NAME) is None
    assert in_another_process(lambda: shelf.put(NAME, b"frames") is None) == 0
    assert shelf.get(NAME) == b"frames"
    assert in_another_process(lambda: shelf.get(NAME) == b"frames") == 0


def test_the_eldest_goes(shelf: Shelf) -> None:
    """One more than there are places, and the same again in its own place."""
    shelf.put(NAME, b"1" * 100)
    shelf.put(OTHER_NAME, b"2")
    shelf.put(NAME, b"3")
    assert (shelf.get(NAME), shelf.get(OTHER_NAME)) == (b"3", b"2")
    shelf.put(THIRD_NAME, b"4")
    assert (shelf.get(NAME), shelf.get(OTHER_NAME), shelf.get(THIRD_NAME)) == (b"3", None, b"4")


def test_nothing_that_was_touched_is_taken(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    """Whichever byte of it is another one, or is not there, or is one too many for what its head says."""
    shelf.put(NAME, b"frames")
    place = next(one for one in shelf._places if os.fstat(one).st_size)
    whole = os.pread(place, 1000, 0)
    for at in range(len(whole)):
        os.pwrite(place, bytes([whole[at] ^ 1]), at)
        assert shelf.get(NAME) is None, at
        os.pwrite(place, whole, 0)
    for length in range(len(whole)):
        os.ftruncate(place, length)
        assert shelf.get(NAME) is None, length
    os.pwrite(place, whole, 0)
    assert shelf.get(NAME) == b"frames"
    assert "passed over" in caplog.text


def test_nobody_without_the_key_can_put_something_there(shelf: Shelf) -> None:
    """Another shelf's frames, head and all, are nothing; nor are this one's under another name."""
    foreign = Shelf()
    foreign.put(NAME, b"evil")
    shelf.put(OTHER_NAME, b"frames")
    (evil,) = [os.pread(one, 1000, 0) for one in foreign._places if os.fstat(one).st_size]
    (place,) = [one for one in shelf._places if os.fstat(one).st_size]
    mine = os.pread(place, 1000, 0)
    os.pwrite(place, evil, 0)
    assert shelf.get(NAME) is None
    os.pwrite(place, NAME + mine[32:], 0)
    assert shelf.get(NAME) is None
    foreign.close()


def test_what_is_damaged_can_be_written_over(shelf: Shelf) -> None:
    """Whatever a head says: it names the eldest place, or one of several, and no number is too large."""
    for place in shelf._places:
        os.pwrite(place, b"\xff" * 200, 0)
    shelf.put(NAME, b"frames")
    assert shelf.get(NAME) == b"frames"


def test_where_there_is_no_room_nothing_is_kept(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    """The place is empty then, and the process goes on."""

    def put() -> bool:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        shelf.put(NAME, b"frames" * 100)
        return shelf.get(NAME) is None

    assert in_another_process(put) == 0
    assert all(os.fstat(place).st_size == 0 for place in shelf._places)


def test_too_much_is_not_kept(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor read, whatever a head says."""
    shelf.put(NAME, b"frames")
    monkeypatch.setattr(shelves, "MAX_BYTES", 5)
    shelf.put(OTHER_NAME, b"frames")
    assert (shelf.get(NAME), shelf.get(OTHER_NAME)) == (None, None)


def test_a_turn_ends_with_its_process(shelf: Shelf) -> None:
    """One at a time; a killed one holds up nobody, and who waits too long goes on."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        with shelf.turn(0):
            os.write(writing, b"!")
            time.sleep(60)
    assert os.read(reading, 1) == b"!"
    assert not shelf._is_taken()
    before = time.monotonic()
    with shelf.turn(0.2):
        assert 0.2 <= time.monotonic() - before < 30
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    with shelf.turn(30):
        assert in_another_process(lambda: not shelf._is_taken()) == 0
    assert in_another_process(shelf._is_taken) == 0


def test_files_are_named_by_names_and_texts() -> None:
    """Their order does not count; where one ends and the next begins does."""
    assert name_of({"a": "b", "c": "d"}) == name_of({"c": "d", "a": "b"})
    different = [{"a": "b"}, {"ab": ""}, {"": "ab"}, {"a": "b", "": ""}, {"a": "\ud800"}]
    assert len({name_of(files) for files in different}) == len(different)


# ---- workshops that share one


@pytest.fixture
def shared(shelf: Shelf) -> Iterator[tuple[Workshop, Workshop]]:
    """The workshops of two workers. The second could not make anything itself."""
    with Workshop(small=0, shelf=shelf) as one, Workshop(small=0, shelf=shelf, command=["/bin/false"]) as other:
        yield one, other


def test_one_makes_and_the_other_links(shared: tuple[Workshop, Workshop]) -> None:
    """The same policy, text and code; no second process is started."""
    made, taken = (workshop.make(FILES) for workshop in shared)
    assert (taken.digest, taken.policy, taken.parts) == (made.digest, made.policy, made.parts)
    assert taken.policy == load_policy(FILES)
    assert taken.decide.__code__ == made.decide.__code__  # type: ignore[attr-defined]  # functions
    assert shared[1]._child is None


def test_mistakes_are_not_put_there(shared: tuple[Workshop, Workshop], shelf: Shelf) -> None:
    """They are told to whoever asked."""
    wrong = {**FILES, "resources/type-1.yaml": "resource: other\n"}
    with pytest.raises(PolicyErrors):
        shared[0].make(wrong)
    assert shelf.get(name_of(wrong)) is None
    assert shared[0].make(FILES).digest == load_policy(FILES).digest


@pytest.mark.parametrize("frames", [b"", b"\0\0", b"\0\0\0\5nopes", b"\xff\xff\xff\xff", b"\0\0\0\4N.N."])
def test_what_cannot_be_linked_is_made_anew(shelf: Shelf, frames: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Though it is well authenticated: a fault of ours is no reason to have no policy."""
    caplog.set_level(logging.WARNING)
    shelf.put(name_of(FILES), frames)
    with Workshop(small=0, shelf=shelf) as workshop:
        assert workshop.make(FILES).digest == load_policy(FILES).digest
    assert "is made here" in caplog.text


def test_damaged_frames_are_made_anew(shared: tuple[Workshop, Workshop], shelf: Shelf) -> None:
    """And put there again, for the next one."""
    shared[0].make(FILES)
    (place,) = [one for one in shelf._places if os.fstat(one).st_size]
    os.pwrite(place, b"\0\0\0\0", 1000)
    assert shelf.get(name_of(FILES)) is None
    assert shared[0].make(FILES).digest == load_policy(FILES).digest
    assert shelf.get(name_of(FILES)) is not None
    assert shared[1].make(FILES).digest == load_policy(FILES).digest
