"""Names drawn ahead: of the right size, never the same twice, and never those of another process."""

from __future__ import annotations

import os
import re

from policy_service.api.names import RandomNames


def test_names_are_fresh_hexadecimal_digits() -> None:
    """However often new ones are drawn."""
    make = RandomNames()
    made = [make(16) for _ in range(5000)]
    assert len(set(made)) == 5000
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in made)
    assert [len(make(size)) for size in (8, 16, 256, 1)] == [16, 32, 512, 2]


def test_a_fork_gives_other_names() -> None:
    """What a parent drew ahead is not its child's."""
    make = RandomNames()
    make(16)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, make(16).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 32).decode() != make(16)
    os.close(read)
    os.close(write)
