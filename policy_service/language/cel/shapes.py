"""Conditions of one shape: texts that differ in nothing but their literals are parsed and checked once.

Large policies say much the same of many things: `resource.attr.env == "prod-1"`, `… == "prod-2"`. What CEL makes of
such a text does not depend on what stands between its quotes, nor on which number it is. So the tree of the first one
is kept, and for the others it is filled in with their literals, every place moved to where it stands in their text.

Only literals that were *found again in the tree* are filled in: a constant that stands where the literal does and has
its value. All others (a pattern, a network, the digits after a minus sign) belong to the shape, as do all texts whose
literals could be told from the rest only by reading CEL as CEL does: with escapes, comments, prefixes, triple quotes.

INVARIANT: what is filled in is what CEL would have made of the text (test_condition_texts: a shape changes nothing).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Final

import msgspec

from policy_service.language import ir
from policy_service.language.cel.literals import parse_duration
from policy_service.model.instants import parse_rfc3339

MAX_SHAPES: Final = 4096
"""So many are kept; for one more, all are forgotten."""

_LITERAL: Final = re.compile(r"""("[^"\\\r\n]*"|'[^'\\\r\n]*'|(?<![\w.])(?:0|[1-9][0-9]{0,17})(?![\w.]))""")
_UNUSUAL: Final = re.compile(r"""["'`\\]|//""")
"""Between literals: there a literal was not what it looked like, or a comment begins."""

_Fill = Callable[[Sequence[Any], Sequence[int]], ir.Expr]
"""Literals by number, and by how much each of them is moved, to a tree."""


class Shape(msgspec.Struct, frozen=True):
    """A text taken apart.

    Args:
        pieces, literals: by turns, beginning and ending with a piece.
        key: what texts of one shape share.
    """

    pieces: tuple[str, ...]
    literals: tuple[str, ...]
    key: Hashable

    @classmethod
    def of(cls, text: str) -> Shape:
        """The shape of a text. Whether CEL sees the same literals in it, `is_plain` tells."""
        parts = _LITERAL.split(text)
        pieces, literals = tuple(parts[::2]), tuple(parts[1::2])
        return cls(pieces, literals, (pieces, tuple([literal[0] in "\"'" for literal in literals])))

    def is_plain(self) -> bool:
        """Whether each literal is one token, and there are no others between quotes."""
        if any(map(_UNUSUAL.search, self.pieces)) or not all(self.pieces[1:-1]):
            return False
        before = [piece[-1:] for piece, one in zip(self.pieces, self.literals, strict=False) if one[0] in "\"'"]
        # A letter before a quote: `r"…"`, `b"…"`.
        return not any(char.isalnum() or char == "_" for char in before)

    def starts(self) -> list[int]:
        """Where each literal begins."""
        lengths = [len(p) + len(one) for p, one in zip(self.pieces, self.literals, strict=False)]
        return [end - len(one) for end, one in zip(accumulate(lengths), self.literals, strict=True)]


class Known(msgspec.Struct, frozen=True):
    """What is known of a condition without mistakes. Whether there are warnings is a matter of its shape."""

    expr: ir.Expr
    has_warnings: bool


class Shapes:
    """The shapes of the conditions that one compiler has checked, as far as they are kept."""

    def __init__(self) -> None:
        self._known: dict[Hashable, _OneShape] = {}

    def recall(self, shape: Shape) -> Known | None:
        """What is known of a text, if one of its shape was kept and nothing in it has to be judged anew."""
        one = self._known.get(shape.key)
        return None if one is None else one.filled(shape)

    def keep(self, shape: Shape, known: Known) -> None:
        """Remember what came of a text."""
        if not shape.literals:
            return
        if shape.key not in self._known:
            if not shape.is_plain():
                return
            if len(self._known) >= MAX_SHAPES:
                self._known.clear()
            self._known[shape.key] = _OneShape(shape, known)
        self._known[shape.key].keep(shape, known.expr)


class _OneShape:
    """One shape, with a template for each choice of those literals that belong to it."""

    def __init__(self, shape: Shape, known: Known) -> None:
        self._has_warnings = known.has_warnings
        self._readers = _readers(shape, known.expr)
        self._templates: dict[Hashable, _Template] = {}

    def filled(self, shape: Shape) -> Known | None:
        template = self._templates.get(self._own(shape))
        expr = None if template is None else template.filled(shape)
        return None if expr is None else Known(expr, self._has_warnings)

    def keep(self, shape: Shape, expr: ir.Expr) -> None:
        own = self._own(shape)
        # The literals that can be filled in are a matter of the shape: a text in which they are others is not kept.
        if own not in self._templates and len(self._templates) < MAX_SHAPES and _readers(shape, expr) == self._readers:
            self._templates[own] = _Template(shape, expr, self._readers)

    def _own(self, shape: Shape) -> Hashable:
        pairs = zip(shape.literals, self._readers, strict=True)
        return tuple([literal for literal, reader in pairs if reader is None])


class _Template:
    """A tree that can be filled in. It is made ready when it is first needed: many a shape has but one text."""

    def __init__(self, shape: Shape, expr: ir.Expr, readers: Sequence[_Reader | None]) -> None:
        self._shape, self._expr, self._readers = shape, expr, readers
        self._lengths = [len(literal) for literal in shape.literals]
        self._fill: _Fill | None = None

    def filled(self, shape: Shape) -> ir.Expr | None:
        pairs = zip(self._readers, shape.literals, strict=True)
        values = [literal if read is None else read(literal) for read, literal in pairs]
        if None in values:
            return None
        longer = [len(one) - length for one, length in zip(shape.literals, self._lengths, strict=True)]
        if self._fill is None:
            self._fill = _filling(self._expr, self._shape, self._readers)
        return self._fill(values, [0, *accumulate(longer)])


# ---- which literals are found again in a tree

_Reader = Callable[[str], "int | str | None"]
"""A literal's text to the value of its constant; None where it has none."""

_OF_DIGITS: Final[dict[ir.Type, _Reader]] = {ir.INT: int}
_OF_QUOTED: Final[dict[ir.Type, _Reader]] = {
    ir.STRING: lambda literal: literal[1:-1],
    ir.TIMESTAMP: lambda literal: parse_rfc3339(literal[1:-1]),
    ir.DURATION: lambda literal: parse_duration(literal[1:-1]),
}


def _readers(shape: Shape, expr: ir.Expr) -> list[_Reader | None]:
    """How each literal is read into its constant; None: it belongs to the shape."""
    readers: list[_Reader | None] = [None] * len(shape.literals)
    for number, constant in _placed(shape, expr):
        literal = shape.literals[number]
        read = (_OF_DIGITS if literal.isdigit() else _OF_QUOTED).get(constant.type)
        if read is not None and read(literal) == constant.value:
            readers[number] = read
    return readers


def _placed(shape: Shape, expr: ir.Expr) -> Iterator[tuple[int, ir.Const]]:
    """The constants of a tree, by the number of the literal at whose place they stand."""
    starts = shape.starts()
    for node in ir.walk(expr):
        if isinstance(node, ir.Const) and (number := _number(shape, starts, node)) is not None:
            yield number, node


def _number(shape: Shape, starts: Sequence[int], constant: ir.Const) -> int | None:
    """The literal that a constant was made of.

    That of an instant or a duration stands behind the bracket that CEL points to.
    """
    number = bisect_left(starts, constant.offset)
    if number == len(starts):
        return None
    if constant.type in (ir.TIMESTAMP, ir.DURATION):
        ahead = starts[number] - constant.offset
        return number if ahead > 0 and shape.pieces[number][-ahead:].rstrip() == "(" else None
    return number if starts[number] == constant.offset else None


# ---- a tree that is filled in


def _filling(expr: ir.Expr, shape: Shape, readers: Sequence[_Reader | None]) -> _Fill:
    """A function that makes the tree anew, with other literals in other places."""
    starts = shape.starts()
    numbers = {id(node): number for number, node in _placed(shape, expr) if readers[number] is not None}
    return _Filling(starts, numbers).of(expr)


class _Filling:
    """Args: where the literals begin, and the number of the literal of each constant, by the node's identity."""

    def __init__(self, starts: Sequence[int], numbers: dict[int, int]) -> None:
        self._starts, self._numbers = starts, numbers

    def of(self, node: ir.Expr) -> _Fill:
        before = bisect_left(self._starts, node.offset)
        fixed, inner = {}, dict[str, Any]()
        for name in node.__struct_fields__:
            value = getattr(node, name)
            if isinstance(value, ir.Node):
                inner[name] = self.of(value)  # type: ignore[arg-type]  # Expr is the union of all nodes there are
            elif isinstance(value, tuple) and value and isinstance(value[0], ir.Node):
                inner[name] = _all([self.of(one) for one in value])
            elif name != "offset":
                fixed[name] = value
        number = self._numbers.get(id(node))
        if number is not None:
            return _constant(node, number, before)
        return _same(node) if before == 0 and not inner else _made(node, before, fixed, inner)


def _same(node: ir.Expr) -> _Fill:
    return lambda *_: node


def _constant(node: ir.Expr, number: int, before: int) -> _Fill:
    kind, offset = node.type, node.offset
    return lambda values, moved: ir.Const(type=kind, offset=offset + moved[before], value=values[number])


def _all(items: list[_Fill]) -> Callable[[Sequence[Any], Sequence[int]], tuple[ir.Expr, ...]]:
    return lambda values, moved: tuple([item(values, moved) for item in items])


def _made(node: ir.Expr, before: int, fixed: dict[str, Any], inner: dict[str, Any]) -> _Fill:
    make, offset, fills = type(node), node.offset, tuple(inner.items())

    def fill(values: Sequence[Any], moved: Sequence[int]) -> ir.Expr:
        children = {name: one(values, moved) for name, one in fills}
        return make(offset=offset + moved[before], **fixed, **children)

    return fill
