"""Policy → readable Python source. Nothing is compiled or run here (see `link`).

The generated module has, in this order: the catalogue, then for each resource type its rules, then the condition
checks, and last `decide`, with the checks in the order of the chain. The same policy gives the same text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

from policy_service.engine.conditions.pool import Constant, ConstantPool
from policy_service.engine.emit_chain import emit_decide
from policy_service.engine.emit_rules import emit_condition_check, emit_resource_policy
from policy_service.engine.naming import Names
from policy_service.language.policy import ConditionCheck, Policy
from policy_service.model.canonical import sha256_hex

CHUNK_LINES: Final = 400
"""Lines after which a new part begins: one part compiles in a few milliseconds, and other threads run in between."""

CATALOGUE: Final = "<catalogue>"
CHAIN: Final = "<chain>"
"""Sections that are no resource types; no type can be called so."""

RESERVED: Final = frozenset(
    {
        "ABSENT",
        "ACCEPTS_UNREGISTERED",
        "BUNDLE",
        "CREDENTIAL",
        "ITERATION_BUDGET",
        "NOBODY",
        "ON",
        "RESOURCE_POLICIES",
        "REVOCATION",
        "WRONG",
    }
)
"""Names in capitals that the module has already; constants of conditions are in capitals too.

INVARIANT: no constant takes a name that means something else (test_link: names of networks).
"""


class Part(msgspec.Struct, frozen=True):
    """A part of generated source.

    Args:
        number: names it in tracebacks: section and place, such as `3.2`.
        constants: what its text names but cannot spell, such as compiled patterns, and no part before it named.
    """

    number: str
    text: str
    constants: dict[str, Constant]


class EmittedModule(msgspec.Struct, frozen=True, eq=False):
    """Generated source, in parts to be run one after the other in one namespace.

    Args:
        label: names it in tracebacks: the policy's digest, or one of the text where the policy has none.
    """

    policy: Policy
    label: str
    parts: tuple[Part, ...]


def emit(policy: Policy) -> EmittedModule:
    """The generated module of a policy. Cost: about 30 µs a rule."""
    emission = Emission(policy)
    parts = tuple(part for section in emission.sections for part in emission.parts(section))
    label = policy.digest or f"sha256:{sha256_hex(''.join(part.text for part in parts))}"
    return EmittedModule(policy, label, parts)


class Emission:
    """A module in sections, each of which may be emitted by itself: what it says depends on the policy alone.

    Attributes:
        sections: their names, in the order in which they must be run: the catalogue, each resource type, the chain.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._names = Names(policy)
        self.sections = (CATALOGUE, *self._names.types, CHAIN)

    def parts(self, section: str) -> tuple[Part, ...]:
        """The parts of one section."""
        number = self.sections.index(section) + 1
        # No two sections may name two constants alike.
        pool, named = ConstantPool(reserved=RESERVED, prefix=f"S{number}_"), 0
        found = []
        for place, text in enumerate(_parts(self._blocks(section, pool)), start=1):
            found.append(Part(f"{number}.{place}", text, dict(islice(pool.constants.items(), named, None))))
            named = len(pool.constants)
        return tuple(found)

    def _blocks(self, section: str, pool: ConstantPool) -> Iterator[str]:
        """Self-contained pieces of text, each a few lines."""
        policy, names = self._policy, self._names
        if section == CATALOGUE:
            yield from _catalogue(policy)
        elif section == CHAIN:
            for check in policy.chain:
                if isinstance(check, ConditionCheck):
                    yield from emit_condition_check(check, names, pool)
            yield emit_decide(policy, names)
        else:
            yield from emit_resource_policy(policy, section, names, pool)


def _catalogue(policy: Policy) -> Iterator[str]:
    yield f"BUNDLE = {policy.digest!r}\n"
    unregistered = sorted(t for t, resource in policy.resources.items() if resource.unregistered == "allow")
    yield f"ACCEPTS_UNREGISTERED = frozenset({unregistered!r})\n"
    yield "# scope -> the resource types it is on\nON = {}\n"
    for name in sorted(policy.scopes):
        yield f"ON[{name!r}] = frozenset({sorted(policy.scopes[name].on)!r})\n"


def _parts(blocks: Iterable[str]) -> Iterator[str]:
    part: list[str] = []
    lines = 0
    for block in blocks:
        if lines >= CHUNK_LINES:
            yield "".join(part)
            part, lines = [], 0
        part.append(block)
        lines += block.count("\n")
    yield "".join(part)
