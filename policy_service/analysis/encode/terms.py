"""Formulas, with what is known folded away: a truth is a Python bool where it is settled, else a Z3 term.

INVARIANT: folding never changes what a formula means (test_encoding); it keeps thousands of rules that cannot apply out
of the solver.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import z3

Term = Any
"""A Z3 expression."""
Truth = Any
"""A bool, or a Z3 expression of sort Bool."""

BUILTIN: Final = (bool, int, float, str)
LAST_CHARACTER: Final = 0x2FFFF
"""Of Z3's strings; SMT-LIB has no code points beyond."""
UNNAMED: Final = 0x2F000
"""From here on no formula names a character, so that these 4,096 can stand for all that Z3 does not have: whatever
texts with such characters come to, texts with these come to as well."""


class Unsupported(Exception):  # noqa: N818 - it names a construct, it is no error of anybody's
    """A construct that has no formula. Caught where conditions are encoded; see `conditions.Gap`.

    Args:
        construct: what the author wrote, in a few words.
        offset: where in the condition, in code points; -1 where that is not known yet.
    """

    def __init__(self, construct: str, offset: int = -1) -> None:
        super().__init__(construct)
        self.construct = construct
        self.offset = offset


def no(truth: Truth) -> Truth:
    if isinstance(truth, bool):
        return not truth
    context = z3.main_ctx()
    return z3.BoolRef(z3.Z3_mk_not(context.ref(), truth.ast), context)


def both(*truths: Truth) -> Truth:
    """All of them."""
    return every(truths)


def either(*truths: Truth) -> Truth:
    """Any of them."""
    return some(truths)


def every(truths: Iterable[Truth]) -> Truth:
    """The conjunction; True of none."""
    open_ones = []
    for truth in truths:
        if truth is False:
            return False
        if truth is not True:
            open_ones.append(truth)
    return _joined(z3.Z3_mk_and, open_ones) if open_ones else True


def some(truths: Iterable[Truth]) -> Truth:
    """The disjunction; False of none."""
    open_ones = []
    for truth in truths:
        if truth is True:
            return True
        if truth is not False:
            open_ones.append(truth)
    return _joined(z3.Z3_mk_or, open_ones) if open_ones else False


def _joined(make: Any, terms: list[Term]) -> Term:
    """What `z3.And` and `z3.Or` make, at a fifth of their price: ours are all truths already."""
    if len(terms) == 1:
        return terms[0]
    context = z3.main_ctx()
    return z3.BoolRef(make(context.ref(), len(terms), (z3.Ast * len(terms))(*(term.ast for term in terms))), context)


def iff(left: Truth, right: Truth) -> Truth:
    if isinstance(left, bool):
        return right if left else no(right)
    if isinstance(right, bool):
        return left if right else no(left)
    return left == right


def implies(left: Truth, right: Truth) -> Truth:
    return either(no(left), right)


def within(value: Term, low: int, high: int) -> Truth:
    """Whether an integer term lies between two numbers, both included.

    What operators make of it, at a third of their price: every world says this a dozen times.
    """
    context = z3.main_ctx()
    # Each is wrapped before the next is made: until then Z3 counts nobody who holds it.
    at_least = z3.BoolRef(z3.Z3_mk_ge(context.ref(), value.ast, _numeral(low).ast), context)
    at_most = z3.BoolRef(z3.Z3_mk_le(context.ref(), value.ast, _numeral(high).ast), context)
    return both(at_least, at_most)


@lru_cache(maxsize=64)
def _numeral(value: int) -> Term:
    return z3.IntVal(value)


def choose(test: Truth, then: Any, otherwise: Any) -> Any:
    """`then` where the test holds; both are of one sort, lifted already."""
    if isinstance(test, bool):
        return then if test else otherwise
    if isinstance(then, bool) or isinstance(otherwise, bool):
        return both(implies(test, then), either(test, otherwise))
    return z3.If(test, then, otherwise)


def as_bool(truth: Truth) -> Term:
    """The Z3 term of a truth."""
    return z3.BoolVal(truth) if isinstance(truth, bool) else truth


def text_value(text: str) -> Term:
    """The Z3 string of a text. Raises Unsupported for characters that stand for others."""
    if text and ord(max(text)) >= UNNAMED:
        raise Unsupported("a character beyond U+2EFFF")
    # Z3 reads \u{…} in literals, so a backslash of the author's must not stand for itself.
    return z3.StringVal(text.replace("\\", "\\u{5c}"))


_ESCAPE: Final = re.compile(r"\\u\{([0-9a-fA-F]+)\}")


def text_of(value: Term) -> str:
    """The text of a Z3 string value."""
    return _ESCAPE.sub(lambda match: chr(int(match.group(1), 16)), value.as_string())


def double_value(value: float) -> Term:
    return z3.FPVal(value, z3.Float64())


def total(terms: Iterable[Any]) -> Any:
    """The sum of integers, Python's or Z3's."""
    fixed, open_ones = 0, []
    for term in terms:
        if isinstance(term, int):
            fixed += term
        else:
            open_ones.append(term)
    if not open_ones:
        return fixed
    return z3.Sum(open_ones) + fixed if fixed else z3.Sum(open_ones)
