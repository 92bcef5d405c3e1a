"""Generated source → a running Program. The only `compile()` and `exec` of the service.

The source is our own emitter's, made from a checked policy; nothing that a request carries ever reaches this module.
"""

from __future__ import annotations

import linecache
import math
import weakref
from bisect import bisect_right
from typing import Any, Final

from policy_service.engine.attributes import AttributeReader, ContextReader, owner_of, source_point
from policy_service.engine.conditions.runtime import PRELUDE
from policy_service.engine.emit import EmittedModule, emit
from policy_service.engine.endings import CREDENTIAL, builtin
from policy_service.engine.grants import NOBODY
from policy_service.engine.index import RuleIndex
from policy_service.engine.program import Program
from policy_service.engine.standing import REFUSALS, standing
from policy_service.language.ir import Type
from policy_service.language.policy import Attribute, Policy
from policy_service.model.decision import Decision
from policy_service.model.values import ABSENT, WRONG

_GIVEN: Final[dict[str, Any]] = {
    "ABSENT": ABSENT,
    "Attribute": Attribute,
    "AttributeReader": AttributeReader,
    "CREDENTIAL": CREDENTIAL,
    "ContextReader": ContextReader,
    "Decision": Decision,
    "REVOCATION": {reason: builtin(reason) for reason in REFUSALS},
    "NOBODY": NOBODY,
    "RuleIndex": RuleIndex,
    "Type": Type,
    "WRONG": WRONG,
    "bisect_right": bisect_right,
    "inf": math.inf,
    "nan": math.nan,
    "owner_of": owner_of,
    "source_point": source_point,
    "standing": standing,
}
"""The names that every generated module may use, besides what its conditions need."""


def compile_policy(policy: Policy) -> Program:
    """The running form of a policy. Cost: about 0.1 ms a rule, in parts of a few milliseconds."""
    return link(emit(policy))


def link(emitted: EmittedModule) -> Program:
    """Compile the parts in order, in one namespace, and take its `decide`.

    Each part is known to `linecache` under `<policy sha256:… part n>`, so tracebacks and debuggers show its lines, for
    as long as the program lives.
    """
    given = {"__name__": f"policy {emitted.label}", **PRELUDE, **_GIVEN}
    assert given.keys().isdisjoint(emitted.constants), "a constant would take a name that means something else"
    namespace: dict[str, Any] = {**given, **emitted.constants}
    lines_by_name: dict[str, list[str]] = {}
    for number, text in enumerate(emitted.parts, start=1):
        name = f"<policy {emitted.label[:19]}… part {number}>"
        lines_by_name[name] = text.splitlines(keepends=True)
        linecache.cache[name] = (len(text), None, lines_by_name[name], name)
        exec(compile(text, name, "exec", dont_inherit=True), namespace)  # noqa: S102 - our own emitter's text
    program = Program(emitted.policy, emitted.policy.digest, "".join(emitted.parts), namespace["decide"])
    weakref.finalize(program, _forget_lines, lines_by_name)
    return program


def _forget_lines(lines_by_name: dict[str, list[str]]) -> None:
    """Take a program's lines out of linecache, unless a second program of the same policy has put its own there."""
    for name, lines in lines_by_name.items():
        if linecache.getlines(name) is lines:
            del linecache.cache[name]
