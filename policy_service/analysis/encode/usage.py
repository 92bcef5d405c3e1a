"""How conditions look at lists and maps: how many different items does a list need, to show every outcome there is?

A list that is only searched (`in`, `exists`, `all`) needs one item for each thing that may be found or missed in it. So
a few slots stand for lists of any length, and what is proved of them holds of all. Where that is not so
(`is_bounded`), a proof says how many items it has looked at.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from policy_service.language import ir

MAX_SLOTS = 6
"""Different items beside the named ones. More would slow every proof; beyond it a proof is bounded."""

_ORDERED = frozenset({"index_list", "equals", "not_equals", "add_list"})


class Usage(msgspec.Struct):
    """What conditions do with one list or map.

    Args:
        constants: texts searched for in it, or keys asked for.
        searches: how many items may be told apart.
        needed: how many of them it takes to show every outcome; no more than `searches`.
        counts: whether the number of items of a kind matters.
        sizes: whether its size is asked for.
        last_index: the largest literal index; -1 where there is none.
        is_ordered: whether the order of its items shows.
        is_open: whether something is done that the slots cannot stand for, whatever their number.
    """

    constants: set[str] = msgspec.field(default_factory=set)
    searches: int = 0
    needed: int = 0
    counts: bool = False
    sizes: bool = False
    last_index: int = -1
    is_ordered: bool = False
    is_open: bool = False

    @property
    def slots(self) -> int:
        return min(self._items(self.searches), MAX_SLOTS)

    def _items(self, searches: int) -> int:
        kinds = 3 if self.counts else 1
        return max(1, searches * kinds + self.last_index + 1)

    @property
    def is_bounded(self) -> bool:
        """Whether there may be outcomes that only a list with more different items shows."""
        return self._items(self.needed) > MAX_SLOTS or self.is_open


def usages(conditions: Iterable[ir.Condition]) -> dict[str, Usage]:
    """Of every list and map that the conditions read, by path."""
    found: dict[str, Usage] = {}
    for condition in conditions:
        _look(condition.expr, found, is_ordered=False)
    return found


def _look(node: ir.Expr, found: dict[str, Usage], *, is_ordered: bool) -> None:
    _note(node, found, is_ordered)
    below = is_ordered or (isinstance(node, ir.Call) and node.overload in _ORDERED)
    for child in ir.children(node):
        _look(child, found, is_ordered=below and child.type.kind in ("list", "map"))


def _note(node: ir.Expr, found: dict[str, Usage], is_ordered: bool) -> None:
    if isinstance(node, ir.Read) and node.type.kind in ("list", "map"):
        usage = found.setdefault(node.path, Usage())
        usage.is_ordered = usage.is_ordered or is_ordered
    elif isinstance(node, ir.HasEntry):
        _of(node.operand, found).constants.add(node.key)
    elif isinstance(node, ir.Quantifier | ir.Transform):
        _note_macro(node, _of(node.range, found))
    elif isinstance(node, ir.Call):
        _note_call(node, found)


def _note_macro(node: ir.Quantifier | ir.Transform, usage: Usage) -> None:
    usage.searches += 2
    if isinstance(node, ir.Transform) or node.quantifier == "exists_one":
        usage.needed += 2
        usage.counts = True
        return
    constants = _told_apart(node)
    if constants is None:
        # One item shows whatever `exists` or `all` can come to: the one that decides it, or that makes it fault. Of
        # a list without the others it comes to the same (test_list_slots).
        usage.needed += 1
    else:
        usage.constants |= constants


def _told_apart(node: ir.Quantifier) -> set[str] | None:
    """The texts that a macro compares each item with, where it does nothing else with them: then all other items are
    alike, and it is a search for constants, however many there are."""
    if not isinstance(node.range, ir.Read) or node.range.type != ir.STRINGS:
        return None
    found: set[str] = set()
    compared = 0
    for part in ir.walk(node.body):
        texts = _texts_beside(part, node.variable) if isinstance(part, ir.Call) else None
        if texts is not None:
            found |= texts
            compared += 1
    uses = sum(isinstance(part, ir.Local) and part.name == node.variable for part in ir.walk(node.body))
    return found if compared == uses else None


def _texts_beside(call: ir.Call, variable: str) -> set[str] | None:
    """Of `item == "text"`, `item != "text"` and `item in ["text", …]` the texts."""
    if call.overload not in ("equals", "not_equals", "in_list"):
        return None
    others = [arg for arg in call.args if not (isinstance(arg, ir.Local) and arg.name == variable)]
    if len(others) != 1:
        return None
    parts = others[0].items if isinstance(others[0], ir.ListOf) else (others[0],)
    texts = [part.value for part in parts if isinstance(part, ir.Const) and isinstance(part.value, str)]
    return set(texts) if len(texts) == len(parts) else None


def _note_call(node: ir.Call, found: dict[str, Usage]) -> None:
    name = node.overload
    if name in ("in_list", "in_map"):
        _note_search(_of(node.args[1], found), node.args[0])
    elif name == "index_map":
        _note_search(_of(node.args[0], found), node.args[1])
    elif name in ("list_size", "map_size"):
        _of(node.args[0], found).sizes = True
    elif name == "index_list":
        usage, index = _of(node.args[0], found), node.args[1]
        if isinstance(index, ir.Const) and isinstance(node.args[0], ir.Read):
            usage.last_index = max(usage.last_index, int(index.value))
        else:
            usage.is_open = True
    elif name in ("equals", "not_equals", "add_list"):
        for arg in node.args:
            _note_compared(arg, node, found)


def _note_compared(arg: ir.Expr, node: ir.Call, found: dict[str, Usage]) -> None:
    if arg.type.kind != "list" or not isinstance(arg, ir.Read):
        return
    usage = _of(arg, found)
    usage.sizes = True
    lengths = [len(other.items) for other in node.args if isinstance(other, ir.ListOf)]
    usage.last_index = max(usage.last_index, *(length - 1 for length in lengths), -1)
    usage.is_open = usage.is_open or not lengths


def _note_search(usage: Usage, wanted: ir.Expr) -> None:
    if isinstance(wanted, ir.Const) and isinstance(wanted.value, str):
        usage.constants.add(wanted.value)
    else:
        usage.searches += 1
        usage.needed += 1


def _of(node: ir.Expr, found: dict[str, Usage]) -> Usage:
    """The usage of the list that an expression is, or is made of; of a list written out, one that nobody keeps."""
    for part in ir.walk(node):
        if isinstance(part, ir.Read) and part.type.kind in ("list", "map"):
            return found.setdefault(part.path, Usage())
    return Usage()
