"""A condition as one readable Python function that returns True, False or None, None being a fault.

What cannot fault becomes a plain expression. What can is computed into a name, where None stands for the fault, and
`&&`, `||` and the macros are spelled out around it. Nothing raises, nothing is computed twice.

# INVARIANT: emitted ≡ interpreted ≡ Google's runtime, faults included
# (tests/property/test_conditions.py: emitted_equals_interpreted, emitted_equals_the_cel_runtime)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from textwrap import indent
from typing import Any, Final

from policy_service.engine.conditions import loops
from policy_service.engine.conditions.costs import by_cost
from policy_service.engine.conditions.operations import operation
from policy_service.engine.conditions.patterns import searcher
from policy_service.engine.conditions.pieces import Block, Level, Piece, guards_of
from policy_service.engine.conditions.pool import ConstantPool
from policy_service.engine.conditions.shapes import Shape, opened
from policy_service.engine.conditions.writing import ALWAYS_THERE, Writing, local_name
from policy_service.engine.intervals import Intervals
from policy_service.language import ir

__all__ = ["ConstantPool", "emit_condition", "emit_shared", "one_line"]

_SET_FROM: Final = 3
"""A literal list of at least so many strings is searched as a set."""


def emit_condition(
    function: str, condition: ir.Condition, *, parameters: Sequence[str], reads: Mapping[str, str], pool: ConstantPool
) -> str:
    """The source of `def <function>(<parameters>)`.

    Args:
        reads: path → the Python expression of its run-time value, over the parameters; it may give ABSENT or WRONG for
            optional paths, attributes and context.
        pool: receives constants. The source uses only its names, those of `PRELUDE` and the parameters.
    """
    loop_count = sum(isinstance(node, ir.Quantifier | ir.Transform) for node in ir.walk(condition.expr))
    emitter = _Emitter(condition, Writing(reads, pool, several_loops=loop_count > 1))
    emitter.give(condition.expr)
    lines = [f"    {line}" for line in (*emitter.head(), *emitter.block.lines)]
    return "\n".join([f"def {function}({', '.join(parameters)}):", f"    # {one_line(condition.text)}", *lines, ""])


def emit_shared(
    function: str, condition: ir.Condition, *, parameters: Sequence[str], reads: Mapping[str, str], pool: ConstantPool
) -> str:
    """The source of a function that takes the literals of a condition and gives what `emit_condition` writes.

    # INVARIANT: called with a condition's literals, it gives a function that is that condition's own
    # (tests/property/test_conditions.py: shared_functions_are_the_conditions_own)

    Args:
        condition: any of its shape.
    """
    names = [local_name(str(number)) for number in range(1, len(Shape.of(condition.expr).literals) + 1)]
    example = ir.Condition(f"as in: {condition.text}", opened(condition.expr))
    inner = emit_condition("satisfied", example, parameters=parameters, reads=reads, pool=pool)
    return f"def {function}({', '.join(names)}):\n{indent(inner, '    ')}\n    return satisfied\n"


def one_line(text: str) -> str:
    """For a comment. A line break of any kind in it would end it, and the rest would become code."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " for char in text)


class _Emitter:
    """Emits one condition."""

    def __init__(self, condition: ir.Condition, writing: Writing) -> None:
        self._condition = condition
        self._writing = writing

    @property
    def block(self) -> Block:
        return self._writing.block

    def head(self) -> list[str]:
        """Names for what may be missing, and the count of steps where several macros share the budget."""
        lines = self._writing.sources(sorted(self._condition.reads() - ALWAYS_THERE))
        return [*lines, "steps = 0"] if self._writing.several_loops else lines

    # Statements

    def give(self, node: ir.Expr) -> None:
        """Emit what returns the value of a node from the function."""
        match node:
            case ir.And() | ir.Or():
                self._give_chain(node)
            case ir.Not(operand=ir.And() | ir.Or() | ir.Not() as operand):
                self.give(_negated(operand))
            case ir.Conditional():
                self._give_conditional(node)
            case _:
                self.block.add(f"return {self.piece(node).value()}")

    def _give_chain(self, node: ir.And | ir.Or) -> None:
        ends_with, doubtful = str(isinstance(node, ir.Or)), []
        *terms, last = by_cost(_terms(node, type(node)))
        mark = self._writing.mark()
        for term in terms:
            doubtful += self._leave_if(term, ends_with)
        if not doubtful:
            self.give(last)
        else:
            doubtful += self._leave_if(last, ends_with)
            otherwise = "False" if isinstance(node, ir.Or) else "True"
            faulted = " or ".join(f"{name} is None" for name in doubtful)
            self.block.add(f"return {doubtful[0] if len(doubtful) == 1 else f'None if {faulted} else {otherwise}'}")
        self._writing.forget(mark)

    def _leave_if(self, term: ir.Expr, ends_with: str) -> list[str]:
        """Return early where a term decides; the name of its value, if it may be a fault."""
        piece = self.piece(term)
        self._writing.learn(term, ends_with)
        if piece.guards:
            name = self._writing.named(piece)
            test = f"{name} is {ends_with}"
        else:
            test = piece.code if ends_with == "True" else piece.negated().code
        with self.block.under(f"if {test}:"):
            self.block.add(f"return {ends_with}")
        return [name] if piece.guards else []

    def _give_conditional(self, node: ir.Conditional) -> None:
        test = self.piece(node.test)
        if test.guards:
            with self.block.under(f"if {' or '.join(test.guards)}:"):
                self.block.add("return None")
        with self.block.under(f"if {test.code}:"):
            self._writing.knowing(node.test, "False", self.give, node.then)
        self._writing.knowing(node.test, "True", self.give, node.otherwise)

    def _apart(self, node: ir.Expr) -> loops.Apart:
        """A piece with the statements that it needs first, not yet placed."""
        outer, self._writing.block = self.block, Block()
        piece = self.piece(node)
        lines, self._writing.block = self.block.lines, outer
        return lines, piece

    # Expressions

    def piece(self, node: ir.Expr) -> Piece:
        """The expression of a node, after statements that it needs."""
        return _PIECES[type(node)](self, node)

    def const(self, node: ir.Const) -> Piece:
        if isinstance(node.value, float) and not math.isfinite(node.value):
            return Piece(self._writing.pool.add(float, node.value, "infinite"), level=Level.ATOM)
        negative = not isinstance(node.value, str) and node.value < 0
        return Piece(repr(node.value), level=Level.COMPARED if negative else Level.ATOM)

    def read(self, node: ir.Read) -> Piece:
        return self._writing.read(node.path)

    def has(self, node: ir.Has) -> Piece:
        if node.path in ALWAYS_THERE:
            return Piece("True", level=Level.ATOM)
        name = self._writing.source(node.path)
        return Piece(f"{name} is not ABSENT", negation=f"{name} is ABSENT")

    def has_entry(self, node: ir.HasEntry) -> Piece:
        operand, key = self.piece(node.operand), repr(node.key)
        code = operand.at(Level.ATOM)
        return Piece(f"{key} in {code}", operand.guards, negation=f"{key} not in {code}")

    def local(self, node: ir.Local) -> Piece:
        return Piece(local_name(node.name), level=Level.ATOM)

    def negation(self, node: ir.Not) -> Piece:
        return self.piece(node.operand).negated()

    def call(self, node: ir.Call) -> Piece:
        pieces = [self.piece(argument) for argument in node.args]
        chosen = operation(node.overload, tuple(argument.type for argument in node.args))
        operands = [piece.at(Level.ATOM) for piece in pieces]
        if node.overload == "in_list" and _is_long_literal(node.args[1]):
            operands[1] = "{" + operands[1][1:-1] + "}"
        code, guards = chosen.template.format(*operands), guards_of(pieces)
        if chosen.can_fault:
            name = self._writing.fresh()
            return Piece(name, (*guards, f"({name} := {code}) is None"), Level.ATOM)
        negation = chosen.negation.format(*operands) if chosen.negation else None
        return Piece(code, guards, Level.ATOM if chosen.is_atom else Level.COMPARED, negation)

    def list_of(self, node: ir.ListOf) -> Piece:
        items = [self.piece(item) for item in node.items]
        inner = ", ".join(item.code for item in items)
        return Piece(f"({inner},)" if len(items) == 1 else f"({inner})", guards_of(items), Level.ATOM)

    def matches(self, node: ir.Matches) -> Piece:
        operand = self.piece(node.operand)
        name = self._writing.pool.add(searcher, node.pattern, "matches")
        return Piece(f"{name}({operand.code})", operand.guards, Level.ATOM)

    def in_networks(self, node: ir.InNetworks) -> Piece:
        operand = self.piece(node.operand)
        if len(node.networks) == 1:
            network = node.networks[0]
            return Piece(f"{network.first} <= {operand.code} <= {network.last}", operand.guards)
        # With a prefix of ours: an author may call a network `absent`, and that is the prelude's name.
        name = self._writing.pool.add(Intervals, node.networks, f"networks_{node.label}")
        return Piece(f"{operand.code} in {name}", operand.guards, negation=f"{operand.code} not in {name}")

    def conditional(self, node: ir.Conditional) -> Piece:
        test = self.piece(node.test)
        then_lines, then = self._writing.knowing(node.test, "False", self._apart, node.then)
        else_lines, otherwise = self._writing.knowing(node.test, "True", self._apart, node.otherwise)
        guards = guards_of((test, then, otherwise))
        if not (then_lines or else_lines or guards):
            return Piece(
                f"{then.at(Level.COMPARED)} if {test.at(Level.COMPARED)} else {otherwise.code}", level=Level.LOOSE
            )
        name = self._writing.fresh()
        self._branches(name, test, (then_lines, then), (else_lines, otherwise))
        return Piece(name, (f"{name} is None",) if guards else (), Level.ATOM)

    def _branches(
        self, name: str, test: Piece, then: tuple[list[str], Piece], otherwise: tuple[list[str], Piece]
    ) -> None:
        if test.guards:
            with self.block.under(f"if {' or '.join(test.guards)}:"):
                self.block.add(f"{name} = None")
        word = "elif" if test.guards else "if"
        for header, (lines, piece) in ((f"{word} {test.code}:", then), ("else:", otherwise)):
            with self.block.under(header):
                self.block.extend(lines)
                self.block.add(f"{name} = {piece.value()}")

    def chain(self, node: ir.And | ir.Or) -> Piece:
        """`&&` or `||` inside an expression: its terms in turn, the cheap ones first, until one decides."""
        ends_with = str(isinstance(node, ir.Or))
        mark, name, plain = self._writing.mark(), "", list[Piece]()
        guarded = False
        for term in by_cost(_terms(node, type(node))):
            lines, piece = self._apart(term)
            self._writing.learn(term, ends_with)
            guarded = guarded or bool(piece.guards)
            if not (name or lines or piece.guards):
                plain.append(piece)
                continue
            if not name and not plain:
                self.block.extend(lines)
                name = self._writing.fresh()
                self.block.add(f"{name} = {piece.value()}")
            else:
                name = name or self._start_chain(plain, ends_with)
                self._add_term(name, lines, piece, ends_with)
        self._writing.forget(mark)
        if not name:
            return _joined(plain, ends_with)
        return Piece(name, (f"{name} is None",) if guarded else (), Level.ATOM)

    def _start_chain(self, plain: list[Piece], ends_with: str) -> str:
        name = self._writing.fresh()
        self.block.add(f"{name} = {_joined(plain, ends_with).code}")
        return name

    def _add_term(self, name: str, lines: list[str], piece: Piece, ends_with: str) -> None:
        goes_on = str(ends_with == "False")
        with self.block.under(f"if {name} is not {ends_with}:"):
            self.block.extend(lines)
            if piece.guards:
                value = self._writing.named(piece)
                with self.block.under(f"if {value} is not {goes_on}:"):
                    self.block.add(f"{name} = {value}")
            else:
                with self.block.under(f"if {piece.code if ends_with == 'True' else piece.negated().code}:"):
                    self.block.add(f"{name} = {ends_with}")

    # Macros

    def quantifier(self, node: ir.Quantifier) -> Piece:
        over = self.piece(node.range)
        return loops.quantifier(self._writing, node, over, self._apart(node.body))

    def transform(self, node: ir.Transform) -> Piece:
        over = self.piece(node.range)
        condition = None if node.condition is None else self._apart(node.condition)
        return loops.transform(self._writing, node, over, condition, self._apart(node.result))


def _terms(node: ir.Expr, kind: type[ir.And] | type[ir.Or]) -> list[ir.Expr]:
    """The operands of a chain of one connective, from left to right."""
    if isinstance(node, kind):
        return _terms(node.left, kind) + _terms(node.right, kind)
    return [node]


def _negated(node: ir.Expr) -> ir.Expr:
    """De Morgan's laws hold for faults as well."""
    if isinstance(node, ir.Not):
        return node.operand
    if isinstance(node, ir.And):
        return ir.Or(type=ir.BOOL, left=_negated(node.left), right=_negated(node.right))
    if isinstance(node, ir.Or):
        return ir.And(type=ir.BOOL, left=_negated(node.left), right=_negated(node.right))
    return ir.Not(type=ir.BOOL, operand=node)


def _joined(pieces: Sequence[Piece], ends_with: str) -> Piece:
    if len(pieces) == 1:
        return pieces[0]
    word = " or " if ends_with == "True" else " and "
    return Piece(word.join(piece.at(Level.COMPARED) for piece in pieces), level=Level.LOOSE)


def _is_long_literal(node: ir.Expr) -> bool:
    return (
        isinstance(node, ir.ListOf)
        and len(node.items) >= _SET_FROM
        and all(isinstance(item, ir.Const) and item.type == ir.STRING for item in node.items)
    )


_PIECES: Final[dict[type, Callable[[_Emitter, Any], Piece]]] = {
    ir.Const: _Emitter.const,
    ir.Read: _Emitter.read,
    ir.Has: _Emitter.has,
    ir.HasEntry: _Emitter.has_entry,
    ir.Local: _Emitter.local,
    ir.Not: _Emitter.negation,
    ir.And: _Emitter.chain,
    ir.Or: _Emitter.chain,
    ir.Conditional: _Emitter.conditional,
    ir.Call: _Emitter.call,
    ir.ListOf: _Emitter.list_of,
    ir.Quantifier: _Emitter.quantifier,
    ir.Transform: _Emitter.transform,
    ir.Matches: _Emitter.matches,
    ir.InNetworks: _Emitter.in_networks,
}
