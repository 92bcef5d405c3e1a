"""A condition as one readable Python function that returns True, False or None, None being a fault.

What cannot fault becomes a plain expression. What can is computed into a name, where None stands for the fault, and
`&&`, `||` and the macros are spelled out around it. Nothing raises, nothing is computed twice.

# INVARIANT: emitted ≡ interpreted ≡ Google's runtime, faults included
# (tests/property/test_conditions.py: emitted_equals_interpreted, emitted_equals_the_cel_runtime)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from policy_service.engine.conditions.operations import operation
from policy_service.engine.conditions.patterns import searcher
from policy_service.engine.conditions.pieces import Block, Level, Piece, guards_of
from policy_service.engine.conditions.pool import ConstantPool
from policy_service.engine.intervals import Intervals
from policy_service.language import ir
from policy_service.language.variables import ATTRIBUTE_PREFIX, CONTEXT_PREFIX, STANDARD

__all__ = ["ConstantPool", "emit_condition"]

_ALWAYS_THERE: Final = frozenset(variable.path for variable in STANDARD if not variable.optional)
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
    emitter = _Emitter(condition, reads, pool)
    emitter.give(condition.expr)
    lines = [f"    {line}" for line in (*emitter.head(), *emitter.block.lines)]
    return "\n".join([f"def {function}({', '.join(parameters)}):", f"    # {_one_line(condition.text)}", *lines, ""])


def _one_line(text: str) -> str:
    """For a comment. A line break of any kind in it would end it, and the rest would become code."""
    return "".join(char if char.isprintable() else " " for char in text)


class _Emitter:
    """Emits one condition. `block` is where statements go at the moment."""

    def __init__(self, condition: ir.Condition, reads: Mapping[str, str], pool: ConstantPool) -> None:
        self._condition = condition
        self._reads = reads
        self._pool = pool
        self._names = 0
        self._present: list[str] = []
        loops = [node for node in ir.walk(condition.expr) if isinstance(node, ir.Quantifier | ir.Transform)]
        self._several_loops = len(loops) > 1
        self.block = Block()

    def head(self) -> list[str]:
        """Names for what may be missing, and the count of steps where several macros share the budget."""
        lines = [
            f"{_name_of(path)} = {self._reads[path]}"
            for path in sorted(self._condition.reads() - _ALWAYS_THERE)
            if self._source(path) != self._reads[path]
        ]
        return [*lines, "steps = 0"] if self._several_loops else lines

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
        *terms, last = _terms(node, type(node))
        mark = len(self._present)
        for term in terms:
            doubtful += self._leave_if(term, ends_with)
        if not doubtful:
            self.give(last)
        else:
            doubtful += self._leave_if(last, ends_with)
            otherwise = "False" if isinstance(node, ir.Or) else "True"
            faulted = " or ".join(f"{name} is None" for name in doubtful)
            self.block.add(f"return {doubtful[0] if len(doubtful) == 1 else f'None if {faulted} else {otherwise}'}")
        del self._present[mark:]

    def _leave_if(self, term: ir.Expr, ends_with: str) -> list[str]:
        """Return early where a term decides; the name of its value, if it may be a fault."""
        piece = self.piece(term)
        self._learn(term, ends_with)
        if piece.guards:
            name = self._named(piece)
            test = f"{name} is {ends_with}"
        else:
            test = piece.code if ends_with == "True" else piece.negated().code
        with self.block.under(f"if {test}:"):
            self.block.add(f"return {ends_with}")
        return [name] if piece.guards else []

    def _learn(self, term: ir.Expr, ends_with: str) -> None:
        """What comes after `has(x) &&` or `!has(x) ||` knows that x is there.

        If `a && b` is not false, neither is a nor b; if `a || b` is not true, neither is a nor b.
        """
        match term:
            case ir.Not():
                self._learn(term.operand, "False" if ends_with == "True" else "True")
            case ir.And() if ends_with == "False":
                self._learn(term.left, ends_with)
                self._learn(term.right, ends_with)
            case ir.Or() if ends_with == "True":
                self._learn(term.left, ends_with)
                self._learn(term.right, ends_with)
            case ir.Has() if ends_with == "False":
                self._present.append(term.path)

    def _give_conditional(self, node: ir.Conditional) -> None:
        test = self.piece(node.test)
        if test.guards:
            with self.block.under(f"if {' or '.join(test.guards)}:"):
                self.block.add("return None")
        with self.block.under(f"if {test.code}:"):
            self._knowing(node.test, "False", self.give, node.then)
        self._knowing(node.test, "True", self.give, node.otherwise)

    def _knowing(self, test: ir.Expr, ends_with: str, emit: Callable[[ir.Expr], Any], node: ir.Expr) -> Any:
        """Emit a node that is reached only when `test` did not end as given."""
        mark = len(self._present)
        self._learn(test, ends_with)
        emitted = emit(node)
        del self._present[mark:]
        return emitted

    def _named(self, piece: Piece) -> str:
        """A name that holds the value of a piece, None for a fault."""
        if piece.guards == (f"{piece.code} is None",) or (not piece.guards and piece.code.isidentifier()):
            return piece.code
        name = self._fresh()
        self.block.add(f"{name} = {piece.value()}")
        return name

    def _fresh(self) -> str:
        self._names += 1
        return f"v{self._names}"

    def _apart(self, node: ir.Expr) -> tuple[list[str], Piece]:
        """A piece with the statements that it needs first, not yet placed."""
        outer, self.block = self.block, Block()
        piece = self.piece(node)
        lines, self.block = self.block.lines, outer
        return lines, piece

    # Expressions

    def piece(self, node: ir.Expr) -> Piece:
        """The expression of a node, after statements that it needs."""
        return _PIECES[type(node)](self, node)

    def const(self, node: ir.Const) -> Piece:
        if isinstance(node.value, float) and not math.isfinite(node.value):
            return Piece(self._pool.add(node.value, "infinite"), level=Level.ATOM)
        negative = not isinstance(node.value, str) and node.value < 0
        return Piece(repr(node.value), level=Level.COMPARED if negative else Level.ATOM)

    def _source(self, path: str) -> str:
        """How the value of a path is named in the function."""
        expression = self._reads[path]
        return expression if path in _ALWAYS_THERE or expression.isidentifier() else _name_of(path)

    def read(self, node: ir.Read) -> Piece:
        name = self._source(node.path)
        if node.path in _ALWAYS_THERE:
            return Piece(name, level=Level.ATOM)
        absent = () if node.path in self._present else (f"{name} is ABSENT",)
        return Piece(name, (*absent, f"{name} is WRONG"), Level.ATOM)

    def has(self, node: ir.Has) -> Piece:
        if node.path in _ALWAYS_THERE:
            return Piece("True", level=Level.ATOM)
        name = self._source(node.path)
        return Piece(f"{name} is not ABSENT", negation=f"{name} is ABSENT")

    def has_entry(self, node: ir.HasEntry) -> Piece:
        operand, key = self.piece(node.operand), repr(node.key)
        code = operand.at(Level.ATOM)
        return Piece(f"{key} in {code}", operand.guards, negation=f"{key} not in {code}")

    def local(self, node: ir.Local) -> Piece:
        return Piece(_local(node.name), level=Level.ATOM)

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
            name = self._fresh()
            return Piece(name, (*guards, f"({name} := {code}) is None"), Level.ATOM)
        negation = chosen.negation.format(*operands) if chosen.negation else None
        return Piece(code, guards, Level.ATOM if chosen.is_atom else Level.COMPARED, negation)

    def list_of(self, node: ir.ListOf) -> Piece:
        items = [self.piece(item) for item in node.items]
        inner = ", ".join(item.code for item in items)
        return Piece(f"({inner},)" if len(items) == 1 else f"({inner})", guards_of(items), Level.ATOM)

    def matches(self, node: ir.Matches) -> Piece:
        operand = self.piece(node.operand)
        name = self._pool.add(searcher(node.pattern), "matches")
        return Piece(f"{name}({operand.code})", operand.guards, Level.ATOM)

    def in_networks(self, node: ir.InNetworks) -> Piece:
        operand = self.piece(node.operand)
        if len(node.networks) == 1:
            network = node.networks[0]
            return Piece(f"{network.first} <= {operand.code} <= {network.last}", operand.guards)
        name = self._pool.add(Intervals(node.networks), node.label)
        return Piece(f"{operand.code} in {name}", operand.guards, negation=f"{operand.code} not in {name}")

    def conditional(self, node: ir.Conditional) -> Piece:
        test = self.piece(node.test)
        then_lines, then = self._knowing(node.test, "False", self._apart, node.then)
        else_lines, otherwise = self._knowing(node.test, "True", self._apart, node.otherwise)
        guards = guards_of((test, then, otherwise))
        if not (then_lines or else_lines or guards):
            return Piece(f"{then.at(Level.COMPARED)} if {test.code} else {otherwise.code}", level=Level.LOOSE)
        name = self._fresh()
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
        """`&&` or `||` inside an expression: its terms in turn, until one decides."""
        ends_with = str(isinstance(node, ir.Or))
        mark, name, plain = len(self._present), "", list[Piece]()
        guarded = False
        for term in _terms(node, type(node)):
            lines, piece = self._apart(term)
            self._learn(term, ends_with)
            guarded = guarded or bool(piece.guards)
            if not (name or lines or piece.guards):
                plain.append(piece)
                continue
            if not name and not plain:
                self.block.extend(lines)
                name = self._fresh()
                self.block.add(f"{name} = {piece.value()}")
            else:
                name = name or self._start_chain(plain, ends_with)
                self._add_term(name, lines, piece, ends_with)
        del self._present[mark:]
        if not name:
            return _joined(plain, ends_with)
        return Piece(name, (f"{name} is None",) if guarded else (), Level.ATOM)

    def _start_chain(self, plain: list[Piece], ends_with: str) -> str:
        name = self._fresh()
        self.block.add(f"{name} = {_joined(plain, ends_with).code}")
        return name

    def _add_term(self, name: str, lines: list[str], piece: Piece, ends_with: str) -> None:
        goes_on = str(ends_with == "False")
        with self.block.under(f"if {name} is not {ends_with}:"):
            self.block.extend(lines)
            if piece.guards:
                value = self._named(piece)
                with self.block.under(f"if {value} is not {goes_on}:"):
                    self.block.add(f"{name} = {value}")
            else:
                with self.block.under(f"if {piece.code if ends_with == 'True' else piece.negated().code}:"):
                    self.block.add(f"{name} = {ends_with}")

    # Macros

    def quantifier(self, node: ir.Quantifier) -> Piece:
        over = self.piece(node.range)
        lines, body = self._apart(node.body)
        name = self._fresh()
        if node.quantifier == "exists_one":
            self._loop(name, "0", node.variable, over, lambda: self._count(name, lines, body))
            code, level = f"{name} == 1", Level.COMPARED
        else:
            ends_with = str(node.quantifier == "exists")
            start = str(node.quantifier == "all")
            self._loop(name, start, node.variable, over, lambda: self._decide(name, lines, body, ends_with))
            code, level = name, Level.ATOM
        return Piece(code, (f"{name} is None",) if over.guards or body.guards else (), level)

    def transform(self, node: ir.Transform) -> Piece:
        over = self.piece(node.range)
        if node.range.type.kind == "map":
            over = Piece(f"sorted({over.code})", over.guards, Level.ATOM)
        condition = None if node.condition is None else self._apart(node.condition)
        result = self._apart(node.result)
        name = self._fresh()
        self._loop(name, "[]", node.variable, over, lambda: self._collect(name, condition, result))
        guarded = over.guards or result[1].guards or (condition is not None and condition[1].guards)
        return Piece(f"tuple({name})", (f"{name} is None",) if guarded else (), Level.ATOM)

    def _loop(self, name: str, start: str, variable: str, over: Piece, emit_step: Callable[[], None]) -> None:
        """A loop that computes `name`, paying for its whole range first; None if the range is a fault."""
        items = self._named(over)
        if over.guards:
            self.block.add(f"{name} = None")
            with self.block.under(f"if {items} is not None:"):
                self._loop_body(name, start, variable, items, emit_step)
        else:
            self._loop_body(name, start, variable, items, emit_step)

    def _loop_body(self, name: str, start: str, variable: str, items: str, emit_step: Callable[[], None]) -> None:
        spent = f"len({items})"
        if self._several_loops:
            self.block.add(f"steps += {spent}")
            spent = "steps"
        with self.block.under(f"if {spent} > ITERATION_BUDGET:"):
            self.block.add("return None")
        self.block.add(f"{name} = {start}")
        with self.block.under(f"for {_local(variable)} in {items}:"):
            emit_step()

    def _decide(self, name: str, lines: list[str], body: Piece, ends_with: str) -> None:
        self.block.extend(lines)
        if body.guards:
            value = self._named(body)
            with self.block.under(f"if {value} is None:"):
                self.block.add(f"{name} = None")
            test = f"elif {value} is {ends_with}:"
        else:
            test = f"if {body.code if ends_with == 'True' else body.negated().code}:"
        with self.block.under(test):
            self.block.add(f"{name} = {ends_with}")
            self.block.add("break")

    def _count(self, name: str, lines: list[str], body: Piece) -> None:
        self._unless_fault(name, lines, body)
        with self.block.under(f"if {body.code}:"):
            self.block.add(f"{name} += 1")

    def _unless_fault(self, name: str, lines: list[str], piece: Piece) -> None:
        self.block.extend(lines)
        if piece.guards:
            with self.block.under(f"if {' or '.join(piece.guards)}:"):
                self.block.add(f"{name} = None")
                self.block.add("break")

    def _collect(self, name: str, condition: tuple[list[str], Piece] | None, result: tuple[list[str], Piece]) -> None:
        if condition is not None:
            self._unless_fault(name, *condition)
            with self.block.under(f"if {condition[1].negated().code}:"):
                self.block.add("continue")
        self._unless_fault(name, *result)
        self.block.add(f"{name}.append({result[1].code})")


def _name_of(path: str) -> str:
    """A name for an optional value: `attr_env`, `context_ticket`, `resource_owner`."""
    if path.startswith(ATTRIBUTE_PREFIX):
        return f"attr_{path.removeprefix(ATTRIBUTE_PREFIX)}"
    if path.startswith(CONTEXT_PREFIX):
        return f"context_{path.removeprefix(CONTEXT_PREFIX)}"
    return path.replace(".", "_")


def _local(name: str) -> str:
    """An author's name must not meet a name of ours, or a word of Python's."""
    return f"each_{name}"


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
