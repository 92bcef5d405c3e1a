"""Policy → readable Python source. Nothing is compiled or run here (see `link`).

The generated module has, in this order: the catalogue, then for each resource type its rules, then the condition
checks, and last `decide`, with the checks in the order of the chain. The same policy gives the same text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from policy_service.engine.conditions.emit import ConstantPool
from policy_service.engine.emit_chain import emit_decide
from policy_service.engine.emit_rules import emit_condition_check, emit_resource_policy
from policy_service.engine.naming import Names
from policy_service.language.policy import ConditionCheck, Policy
from policy_service.model.canonical import sha256_hex

CHUNK_LINES: Final = 400
"""Lines after which a new part begins: one part compiles in a few milliseconds, and other threads run in between."""

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


class EmittedModule(msgspec.Struct, frozen=True, eq=False):
    """Generated source, in parts to be run one after the other in one namespace.

    Args:
        label: names it in tracebacks: the policy's digest, or one of the text where the policy has none.
        constants: values that the text names but cannot spell, such as compiled patterns.
    """

    policy: Policy
    label: str
    parts: tuple[str, ...]
    constants: dict[str, object]


def emit(policy: Policy) -> EmittedModule:
    """The generated module of a policy. Cost: about 30 µs a rule."""
    pool = ConstantPool(reserved=RESERVED)
    parts = tuple(_parts(_blocks(policy, pool)))
    label = policy.digest or f"sha256:{sha256_hex(''.join(parts))}"
    return EmittedModule(policy, label, parts, dict(pool.values))


def _blocks(policy: Policy, pool: ConstantPool) -> Iterator[str]:
    """Self-contained pieces of text, each a few lines."""
    names = Names(policy)
    yield from _catalogue(policy)
    for resource_type in names.types:
        yield from emit_resource_policy(policy, resource_type, names, pool)
    for check in policy.chain:
        if isinstance(check, ConditionCheck):
            yield from emit_condition_check(check, names, pool)
    yield emit_decide(policy, names)


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
