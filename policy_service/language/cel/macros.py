"""Macros arrive expanded, as CEL's one general loop; here their shapes are recognised.

An author cannot write the general loop, and `@result` is no name an author can spell: every loop is one of these.

Source: https://github.com/google/cel-spec, doc/langdef.md, "Macros".
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from cel.expr import syntax_pb2  # type: ignore[import-untyped]  # xds-protos ships no types

MACROS: Final = ("all", "exists", "exists_one", "map", "filter")


class Quantified(msgspec.Struct, frozen=True):
    """`range.all(variable, body)`, `exists` or `exists_one`."""

    name: Literal["all", "exists", "exists_one"]
    body: syntax_pb2.Expr


class Transformed(msgspec.Struct, frozen=True):
    """`range.map(variable, result)`, with a condition in the three-argument form; `filter` likewise."""

    condition: syntax_pb2.Expr | None
    result: syntax_pb2.Expr


def recognise(loop: syntax_pb2.Expr.Comprehension) -> Quantified | Transformed:
    """The macro that a loop was written as."""
    step = loop.loop_step.call_expr
    if step.function == "_&&_":
        return Quantified("all", step.args[1])
    if step.function == "_||_":
        return Quantified("exists", step.args[1])
    if loop.accu_init.WhichOneof("expr_kind") == "const_expr":
        return Quantified("exists_one", step.args[0])
    if step.function == "_?_:_":
        return Transformed(step.args[0], _appended(step.args[1]))
    return Transformed(None, _appended(loop.loop_step))


def _appended(addition: syntax_pb2.Expr) -> syntax_pb2.Expr:
    """Of `@result + [x]`: x."""
    return addition.call_expr.args[1].list_expr.elements[0]
