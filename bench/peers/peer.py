"""What every engine in process is adapted to: it is built from a world and asked the world's questions.

What an engine cannot express it says by name: `beyond` maps reasons to why it cannot deny for them. The engines of one
run are compared, and timed, on the questions that all of them can answer, and the run says which those are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final, Protocol

from bench.questions import Question
from bench.workloads import World

NOT_ENFORCED: Final = "left to whoever calls it"
SECRETS: Final = dict.fromkeys(
    ("missing_credentials", "malformed_key", "unknown_key"), "knows no secrets: who asks is known before it is asked"
)
FAULTS: Final = {"policy_error": "allows: a deny rule that cannot be evaluated counts as not satisfied"}
ADDRESSES: Final = {"invalid_source_ip": "an address that is none is an error of the call, not an answer"}


class Peer(Protocol):
    """An engine, set up as its own documentation advises for speed; each module tells how, and where that is said.

    Attributes:
        name: in tables.
        requires: the package that it comes in.
        beyond: reason → why it cannot deny for it.
    """

    name: ClassVar[str]
    requires: ClassVar[str]
    beyond: ClassVar[Mapping[str, str]]

    def __init__(self, world: World) -> None:
        """Everything that is done once."""

    def prepare(self, question: Question) -> Any:
        """The question in the engine's own form. Never timed, which favours those whose form is far from ours."""

    def allows(self, prepared: Any) -> bool:
        """The answer. This is what is timed."""


def limits(*parts: Mapping[str, str], **reasons: str) -> Mapping[str, str]:
    """A `beyond` made of parts."""
    return MappingProxyType({reason: why for part in (*parts, reasons) for reason, why in part.items()})


def common(asked: Iterable[Question], beyond: Iterable[Mapping[str, str]]) -> list[Question]:
    """The questions that engines with these limits can all answer."""
    excluded = {reason for part in beyond for reason in part}
    return [question for question in asked if question.reason not in excluded]
