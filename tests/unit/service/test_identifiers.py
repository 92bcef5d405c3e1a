"""New ids and secrets, and the clock."""

from __future__ import annotations

import time

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


def test_the_system_clock_tells_nanoseconds_of_now() -> None:
    """Within the time that the test takes."""
    before = time.time_ns()
    assert before <= SystemClock().now() <= time.time_ns()


def test_the_null_sink_takes_everything() -> None:
    """And keeps nothing."""
    assert NullSink().record([]) is WRITTEN
