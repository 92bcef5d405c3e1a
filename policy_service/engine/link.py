"""Generated source → a running Program. The only `compile()` and `exec` of the service.

The source is our own emitter's, made from a checked policy; nothing that a request carries ever reaches this module.
"""

from __future__ import annotations

import linecache
import math
import weakref
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from types import CodeType
from typing import Any, Final, overload

from policy_service.engine.attributes import AttributeReader, ContextReader, owner_of, source_point
from policy_service.engine.conditions.runtime import PRELUDE
from policy_service.engine.emit import EmittedModule, Part, emit
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

_CACHE: Final[dict[str, Any]] = linecache.cache  # whose type asks for lists, where any sequence does


def compile_policy(policy: Policy) -> Program:
    """The running form of a policy. Cost: about 0.1 ms a rule, in parts of a few milliseconds."""
    return link(emit(policy))


def link(emitted: EmittedModule) -> Program:
    """Compile the parts in order, in one namespace, and take its `decide`."""
    linking = Linking(emitted.label)
    for part in emitted.parts:
        linking.add(part, compiled(emitted.label, part))
    return linking.finished(emitted.policy)


def compiled(label: str, part: Part) -> CodeType:
    """The code of one part of a module. It is called `<policy sha256:… part 1.1>` in tracebacks and debuggers."""
    return compile(part.text, _file_name(label, part), "exec", dont_inherit=True)


class Linking:
    """A program in the making: its parts run one after the other in one namespace.

    Each is known to `linecache` under its name, for as long as the program lives.

    Args:
        label: the policy's digest, or what stands for it.

    Attributes:
        namespace: what the program's functions see. A cycle with them: it goes when the collector finds it.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self.namespace: dict[str, Any] = {"__name__": f"policy {label}", **PRELUDE, **_GIVEN}
        self._lines: dict[str, _Lines] = {}

    @property
    def count(self) -> int:
        """How many parts were added."""
        return len(self._lines)

    def add(self, part: Part, code: CodeType) -> None:
        """Run the next part.

        Args:
            code: what `compiled` made of its text, here or in a process of ours with the same interpreter.
        """
        taken = part.constants.keys() & self.namespace.keys()
        assert not taken, f"a constant would take a name that means something else: {taken}"
        name = _file_name(self._label, part)
        lines = self._lines[name] = _Lines(part.text)
        # Split into lines for whoever looks: 10,000 rules have 200,000.
        _CACHE[name] = (len(part.text), None, lines, name)
        self.namespace.update({key: constant.value() for key, constant in part.constants.items()})
        exec(code, self.namespace)  # noqa: S102 - our own emitter's text

    def finished(self, policy: Policy) -> Program:
        """The program of all parts. Raises ValueError where they are not this policy's."""
        if self.namespace.get("BUNDLE") != policy.digest or "decide" not in self.namespace:
            raise ValueError(f"the parts are not those of `{policy.digest}`")
        parts = tuple(lines.text for lines in self._lines.values())
        program = Program(policy, policy.digest, parts, self.namespace["decide"])
        weakref.finalize(program, _forget_lines, self._lines)
        return program

    def abandon(self) -> None:
        """Forget what was added so far: there will be no program."""
        _forget_lines(self._lines)


class _Lines(Sequence[str]):
    """The lines of a text, once somebody looks at them."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def _split(self) -> list[str]:
        return self.text.splitlines(keepends=True)

    def __len__(self) -> int:
        return len(self._split)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self._split[index]


def _file_name(label: str, part: Part) -> str:
    return f"<policy {label[:19]}… part {part.number}>"


def _forget_lines(lines_by_name: dict[str, _Lines]) -> None:
    """Take a program's lines out of linecache, unless a second program of the same policy has put its own there."""
    for name, lines in lines_by_name.items():
        if name in _CACHE and _CACHE[name][2] is lines:
            del _CACHE[name]
