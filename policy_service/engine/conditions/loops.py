"""Macros as loops. Each pays for its whole range before its first step: see `runtime.ITERATION_BUDGET`."""

from __future__ import annotations

from collections.abc import Callable

from policy_service.engine.conditions.pieces import Level, Piece
from policy_service.engine.conditions.writing import Writing, local_name
from policy_service.language import ir

Apart = tuple[list[str], Piece]
"""A piece with the statements that it needs first, not yet placed."""


def quantifier(writing: Writing, node: ir.Quantifier, over: Piece, body: Apart) -> Piece:
    """`all`, `exists` and `exists_one` as a name, or as a comparison of the count."""
    name = writing.fresh()
    if node.quantifier == "exists_one":
        _loop(writing, (name, "0", node.variable), over, lambda: _count(writing, name, body))
        code, level = f"{name} == 1", Level.COMPARED
    else:
        ends_with, start = ("True", "False") if node.quantifier == "exists" else ("False", "True")
        _loop(writing, (name, start, node.variable), over, lambda: _decide(writing, name, body, ends_with))
        code, level = name, Level.ATOM
    return Piece(code, (f"{name} is None",) if over.guards or body[1].guards else (), level)


def transform(writing: Writing, node: ir.Transform, over: Piece, condition: Apart | None, result: Apart) -> Piece:
    """`map` and `filter` as a list that is built up; the keys of a map come sorted."""
    if node.range.type.kind == "map":
        over = Piece(f"sorted({over.code})", over.guards, Level.ATOM)
    name = writing.fresh()
    _loop(writing, (name, "[]", node.variable), over, lambda: _collect(writing, name, condition, result))
    guarded = over.guards or result[1].guards or (condition is not None and condition[1].guards)
    return Piece(f"tuple({name})", (f"{name} is None",) if guarded else (), Level.ATOM)


def _loop(writing: Writing, heading: tuple[str, str, str], over: Piece, emit_step: Callable[[], None]) -> None:
    """A loop that computes a name; None if the range is a fault.

    Args:
        heading: the name, its value before the first step, and the author's variable.
    """
    items = writing.named(over)
    if not over.guards:
        _pay_and_loop(writing, heading, items, emit_step)
        return
    writing.block.add(f"{heading[0]} = None")
    with writing.block.under(f"if {items} is not None:"):
        _pay_and_loop(writing, heading, items, emit_step)


def _pay_and_loop(writing: Writing, heading: tuple[str, str, str], items: str, emit_step: Callable[[], None]) -> None:
    name, start, variable = heading
    block, spent = writing.block, f"len({items})"
    if writing.several_loops:
        block.add(f"steps += {spent}")
        spent = "steps"
    with block.under(f"if {spent} > ITERATION_BUDGET:"):
        block.add("return None")
    block.add(f"{name} = {start}")
    with block.under(f"for {local_name(variable)} in {items}:"):
        emit_step()


def _decide(writing: Writing, name: str, body: Apart, ends_with: str) -> None:
    """One step of `all` or `exists`: a fault is remembered, and forgotten when a later item decides."""
    block, (lines, piece) = writing.block, body
    block.extend(lines)
    if piece.guards:
        value = writing.named(piece)
        with block.under(f"if {value} is None:"):
            block.add(f"{name} = None")
        test = f"elif {value} is {ends_with}:"
    else:
        test = f"if {piece.code if ends_with == 'True' else piece.negated().code}:"
    with block.under(test):
        block.add(f"{name} = {ends_with}")
        block.add("break")


def _count(writing: Writing, name: str, body: Apart) -> None:
    _unless_fault(writing, name, body)
    with writing.block.under(f"if {body[1].code}:"):
        writing.block.add(f"{name} += 1")


def _collect(writing: Writing, name: str, condition: Apart | None, result: Apart) -> None:
    if condition is not None:
        _unless_fault(writing, name, condition)
        with writing.block.under(f"if {condition[1].negated().code}:"):
            writing.block.add("continue")
    _unless_fault(writing, name, result)
    writing.block.add(f"{name}.append({result[1].code})")


def _unless_fault(writing: Writing, name: str, step: Apart) -> None:
    """The first fault ends these macros."""
    lines, piece = step
    writing.block.extend(lines)
    if piece.guards:
        with writing.block.under(f"if {' or '.join(piece.guards)}:"):
            writing.block.add(f"{name} = None")
            writing.block.add("break")
