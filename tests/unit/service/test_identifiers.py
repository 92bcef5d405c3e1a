"""New ids and secrets, and the clock."""

from __future__ import annotations

import gc
import os
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

from policy_service.model.api_key import ALPHABET, KEY_ID, format_api_key, parse_api_key
from policy_service.model.names import ID
from policy_service.service.clock import SystemClock
from policy_service.service.identifiers import RandomIds
from policy_service.service.recording.groups import WRITTEN
from policy_service.service.recording.sinks import NullSink


def test_ids_and_secrets_have_their_form_and_differ() -> None:
    """Base62 of the right length; no two alike."""
    ids = RandomIds()
    for make, length in (
        (ids.decision_id, 22),
        (ids.key_id, 12),
        (ids.secret, 22),
        (ids.binding_id, 12),
        (ids.shard_tail, 8),
    ):
        made = {make() for _ in range(200)}
        assert len(made) == 200
        assert all(len(text) == length and set(text) <= set(ALPHABET) for text in made)
    assert KEY_ID.fullmatch(ids.key_id())
    assert ID.fullmatch(ids.binding_id())
    assert parse_api_key(format_api_key("psx", ids.key_id(), ids.secret())) is not None


def test_every_character_is_used() -> None:
    """The whole alphabet comes up, so no character is left out of the randomness."""
    ids = RandomIds()
    assert {character for _ in range(500) for character in ids.secret()} == set(ALPHABET)


def test_a_fork_gives_other_ids() -> None:
    """What was drawn ahead is not given by both: the ids of a decision are unique for ever."""
    ids = RandomIds()
    ids.decision_id()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, " ".join(ids.decision_id() for _ in range(100)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 1 << 16).decode().split()
    os.close(reading)
    os.close(writing)
    mine = {ids.decision_id() for _ in range(100)}
    assert len(theirs) == len(set(theirs)) == len(mine) == 100
    assert mine.isdisjoint(theirs)


def test_threads_never_take_the_same_id() -> None:
    """Whoever draws first."""
    ids = RandomIds()
    with ThreadPoolExecutor(8) as pool:
        made = [one for some in pool.map(lambda _: [ids.decision_id() for _ in range(2000)], range(8)) for one in some]
    assert len(set(made)) == len(made) == 16000


def test_ids_that_are_gone_are_not_kept_for_a_fork() -> None:
    """Nor does a fork after them fail."""
    ids = weakref.ref(RandomIds())
    gc.collect()
    assert ids() is None
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_the_system_clock_tells_nanoseconds_of_now() -> None:
    """Within the time that the test takes."""
    before = time.time_ns()
    assert before <= SystemClock().now() <= time.time_ns()


def test_the_null_sink_takes_everything() -> None:
    """And keeps nothing."""
    assert NullSink().record([]) is WRITTEN
