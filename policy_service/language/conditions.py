"""Conditions of rule files: compiled against what the file may see, problems reported where the author wrote them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from policy_service.language.attributes import Declared
from policy_service.language.cel.compiler import ConditionCompiler, Problem
from policy_service.language.ir import And, Condition, Expr, Has, Not, Or
from policy_service.language.memory import Memory
from policy_service.language.offsets import source_indexes
from policy_service.language.places import Place
from policy_service.language.policy import Attribute
from policy_service.language.report import quoted
from policy_service.language.variables import ATTRIBUTE_PREFIX, CONTEXT_PREFIX
from policy_service.language.yaml_nodes import Scalar
from policy_service.language.yaml_text import locate
from policy_service.model.address import Network
from policy_service.model.spans import Span

OWNER: Final = "resource.owner"
_COMMENT: Final = re.compile(r"[ \t]+#")


class Environment:
    """What every condition of a load can see: context and networks. Attributes come per resource type.

    Args:
        networks: None when networks.yaml is unreadable.
        memory: of the last load, for conditions that are still the same.
    """

    def __init__(
        self, context: Declared, networks: dict[str, tuple[Network, ...]] | None, memory: Memory | None = None
    ) -> None:
        self._context = context
        self._networks = networks
        self._memory = memory or Memory()

    def turn(self) -> None:
        """Another reading begins: what the last one did not ask for is forgotten."""
        self._memory.turn()

    def reader(self, attributes: Declared | None) -> ConditionReader:
        """A reader of conditions on one resource type; None: on every type, so that no attribute can be read."""
        visible = None if attributes is None else attributes.attributes
        key = ("compiler", visible, self._context.attributes, tuple((self._networks or {}).items()))
        compiler = self._memory.recall(key, lambda: self._compiler(visible))
        return ConditionReader(compiler, tuple(self._unjudged(attributes)), self._memory)

    def _compiler(self, attributes: tuple[Attribute, ...] | None) -> ConditionCompiler:
        return ConditionCompiler(attributes=attributes, context=self._context.attributes, networks=self._networks or {})

    def _unjudged(self, attributes: Declared | None) -> Iterator[re.Pattern[str]]:
        if self._networks is None:
            yield re.compile("inNetwork")
        yield from _mentions(self._context, CONTEXT_PREFIX)
        if attributes is not None:
            yield from _mentions(attributes, ATTRIBUTE_PREFIX)


def _mentions(declared: Declared, prefix: str) -> Iterator[re.Pattern[str]]:
    """Patterns of conditions that read something whose declaration is already reported."""
    if declared.broken is None:
        yield re.compile(re.escape(prefix.removesuffix(".")))
    for name in sorted(declared.broken or ()):
        yield re.compile(re.escape(prefix + name) + r"\b")


class ConditionReader:
    """Reads the conditions that share one set of attributes."""

    def __init__(
        self, compiler: ConditionCompiler, unjudged: tuple[re.Pattern[str], ...], memory: Memory | None = None
    ) -> None:
        self._compiler = compiler
        self._unjudged = unjudged
        self._memory = memory or Memory()

    def read(self, place: Place) -> Condition | None:
        """The condition, or None when it is no good; its errors and warnings are reported."""
        text = place.text("a condition")
        if text is None:
            return None
        if any(pattern.search(text) for pattern in self._unjudged):
            assert place.source.report.has_errors()  # or a rule would silently lose its condition
            return None
        condition, problems = self._memory.recall((self._compiler, text), lambda: self._compiler.compile(text))
        _report(place, problems)
        assert condition is not None or any(problem.severity == "error" for problem in problems)
        return condition


def _report(place: Place, problems: tuple[Problem, ...]) -> None:
    node = place.node
    if not problems or not isinstance(node, Scalar):
        return
    text = place.source.text
    indexes = source_indexes(node, text)
    hint = _comment_hint(node, text)
    for problem in problems:
        first = min(max(problem.offset, 0), len(indexes) - 1)
        last = min(max(problem.end_offset, first), len(indexes) - 1)
        span = Span(place.source.file, *locate(text, indexes[first]), *locate(text, indexes[last]))
        message = problem.message + (hint if problem.severity == "error" else "")
        place.source.report.add(problem.code, message, span, place.path, problem.severity)


def _comment_hint(node: Scalar, text: str) -> str:
    """A plain condition that contains ` #` ends there: its author should hear why the rest is missing."""
    if node.style == "plain" and _COMMENT.match(text, node.end.offset):
        return " (` #` begins a comment here; put the condition in quotes or in a `|` block if it is part of it)"
    return ""


def warn_omittable(
    place: Place, condition: Condition, attributes: tuple[Attribute, ...], *, owner_is_claimed: bool = False
) -> None:
    """Warn of `has(x) &&` where an unsatisfied condition opens the door and the caller may leave x out.

    Args:
        attributes: those that the condition can read; one with a default or from the store is not the caller's.
        owner_is_claimed: whether the owner, too, may be the caller's word (of unregistered resources).
    """
    safe = {ATTRIBUTE_PREFIX + one.name for one in attributes if one.has_default or one.from_store}
    for path in sorted(frozenset(_required(condition.expr)) - safe):
        if path.startswith(ATTRIBUTE_PREFIX):
            advice = "use `from: store`, declare a default, or write"
        elif path.startswith(CONTEXT_PREFIX) or (path == OWNER and owner_is_claimed):
            advice = "write"
        else:
            continue
        message = f"a caller who leaves out {quoted(path)} is not stopped here; {advice} `!has({path}) || …`"
        place.warn("omittable-guard", message)


def _required(expr: Expr) -> Iterator[str]:
    """The paths guarded by `has(x) && …` and not let in by `!has(x) || …`."""
    positive = set(_leaves(expr))
    absent = {leaf.operand.path for leaf in positive if isinstance(leaf, Not) and isinstance(leaf.operand, Has)}
    return (leaf.path for leaf in positive if isinstance(leaf, Has) and leaf.path not in absent)


def _leaves(expr: Expr) -> Iterator[Expr]:
    """What `&&` and `||` combine."""
    if isinstance(expr, And | Or):
        yield from _leaves(expr.left)
        yield from _leaves(expr.right)
    else:
        yield expr
