"""What all emitting shares: the block being written, fresh names, and which values are known to be there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from policy_service.engine.conditions.pieces import Block, Level, Piece
from policy_service.engine.conditions.pool import ConstantPool
from policy_service.language import ir
from policy_service.language.variables import ATTRIBUTE_PREFIX, CONTEXT_PREFIX, STANDARD

ALWAYS_THERE: Final = frozenset(variable.path for variable in STANDARD if not variable.optional)


class Writing:
    """One function under construction. `block` is where statements go at the moment.

    Args:
        reads: path → Python expression.
        several_loops: whether macros must share the count of steps.
    """

    def __init__(self, reads: Mapping[str, str], pool: ConstantPool, *, several_loops: bool) -> None:
        self.pool = pool
        self.several_loops = several_loops
        self.block = Block()
        self._reads = reads
        self._names = 0
        self._present: list[str] = []

    def fresh(self) -> str:
        """A name not used before."""
        self._names += 1
        return f"v{self._names}"

    def named(self, piece: Piece) -> str:
        """A name that holds the value of a piece, None for a fault."""
        if piece.guards == (f"{piece.code} is None",) or (not piece.guards and piece.code.isidentifier()):
            return piece.code
        name = self.fresh()
        self.block.add(f"{name} = {piece.value()}")
        return name

    # Values read

    def source(self, path: str) -> str:
        """How the value of a path is named in the function."""
        expression = self._reads[path]
        return expression if path in ALWAYS_THERE or expression.isidentifier() else name_of(path)

    def sources(self, paths: Sequence[str]) -> list[str]:
        """Assignments of the names that stand for expressions."""
        return [
            f"{self.source(path)} = {self._reads[path]}" for path in paths if self.source(path) != self._reads[path]
        ]

    def read(self, path: str) -> Piece:
        name = self.source(path)
        if path in ALWAYS_THERE:
            return Piece(name, level=Level.ATOM)
        absent = () if path in self._present else (f"{name} is ABSENT",)
        return Piece(name, (*absent, f"{name} is WRONG"), Level.ATOM)

    # What is known

    def mark(self) -> int:
        """Where `forget` shall go back to."""
        return len(self._present)

    def forget(self, mark: int) -> None:
        del self._present[mark:]

    def learn(self, term: ir.Expr, ends_with: str) -> None:
        """What comes after `has(x) &&` or `!has(x) ||` knows that x is there.

        It is reached only when `term` did not come to `ends_with`. If `a && b` is not false, neither is a nor b; if
        `a || b` is not true, neither is a nor b.
        """
        match term:
            case ir.Not():
                self.learn(term.operand, "False" if ends_with == "True" else "True")
            case ir.And() if ends_with == "False":
                self.learn(term.left, ends_with)
                self.learn(term.right, ends_with)
            case ir.Or() if ends_with == "True":
                self.learn(term.left, ends_with)
                self.learn(term.right, ends_with)
            case ir.Has() if ends_with == "False":
                self._present.append(term.path)

    def knowing(self, test: ir.Expr, ends_with: str, emit: Callable[[ir.Expr], Any], node: ir.Expr) -> Any:
        """Emit a node that is reached only when `test` did not end as given."""
        mark = self.mark()
        self.learn(test, ends_with)
        emitted = emit(node)
        self.forget(mark)
        return emitted


def name_of(path: str) -> str:
    """A name for an optional value: `attr_env`, `context_ticket`, `resource_owner`."""
    if path.startswith(ATTRIBUTE_PREFIX):
        return f"attr_{path.removeprefix(ATTRIBUTE_PREFIX)}"
    if path.startswith(CONTEXT_PREFIX):
        return f"context_{path.removeprefix(CONTEXT_PREFIX)}"
    return path.replace(".", "_")


def local_name(name: str) -> str:
    """An author's name must not meet a name of ours, or a word of Python's. No author's name is a number."""
    return f"literal_{name}" if name.isdigit() else f"each_{name}"
