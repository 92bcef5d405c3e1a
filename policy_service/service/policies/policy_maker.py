"""The process that makes programs: rule files in, a checked policy and its compiled parts out.

`Workshop` starts it. It knows no store, no key and no network; what it is given comes on standard input, and it ends
with it. It remembers the last policy, so that an edit of one file costs little more than that file.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from policy_service.engine.emit import Emission
from policy_service.language.load import load
from policy_service.language.memory import Memory
from policy_service.language.policy import Policy
from policy_service.service.policies.side_by_side import side_by_side
from policy_service.service.policies.workshop_messages import (
    CompiledPart,
    Done,
    Gone,
    Message,
    Mistakes,
    Pipe,
    outlined,
    readable,
    widen,
)

IDLE_S: Final = 60.0
"""So long it waits for another job, and remembers; then it ends, and its memory is the machine's again."""
RULE_CHARACTERS: Final = 200
"""Of a usual rule in its file: emitting and compiling one takes about as long as reading it."""


def main(idle_s: float = IDLE_S) -> None:
    """Answer jobs until standard input ends, or none comes for `idle_s`."""
    # What a library prints goes to the log: it must not stand between two frames.
    answers = os.dup(1)
    os.dup2(2, 1)
    widen(answers)
    pipe, memory = Pipe(0, answers), Memory()
    # A load of 10,000 rules makes a million objects and no cycle: looking for some takes a quarter of the time.
    gc.disable()
    try:
        while readable(0, idle_s):
            for message in made(pipe.receive(), memory):
                pipe.send(message)
            gc.collect()
    except (Gone, KeyboardInterrupt):
        return


def made(files: Mapping[str, str], memory: Memory) -> Iterator[Message]:
    """The answer to one job."""
    sizes = {file: len(text) for file, text in files.items()}
    loaded = load(files, memory, partial(side_by_side, sizes=sizes))
    if loaded.policy is None:
        yield Mistakes(loaded.diagnostics)
    else:
        yield from _sliced(loaded.policy)


def _sliced(policy: Policy) -> Iterator[Message]:
    yield from outlined(policy)
    emission, count = Emission(policy), 0
    sizes = {name: len(resource.rules) * RULE_CHARACTERS for name, resource in policy.resources.items()}

    def compiled_parts(section: str) -> list[CompiledPart]:
        return [CompiledPart.of(policy.digest, part) for part in emission.parts(section)]

    for parts in side_by_side(compiled_parts, list(emission.sections), sizes=sizes):
        count += len(parts)
        yield from parts
    yield Done(policy.digest, count, sum(len(resource.rules) for resource in policy.resources.values()))
