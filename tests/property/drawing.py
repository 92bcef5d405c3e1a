"""Choosing, cheaply: worlds take hundreds of choices, and a strategy made anew for each costs more than the choice.

Options stand simplest first: that is what Hypothesis shrinks to.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from random import Random
from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


_SIZES: dict[st.SearchStrategy[int], int] = {}


@functools.cache
def _below(count: int) -> st.SearchStrategy[int]:
    strategy = st.integers(0, count - 1)
    _SIZES[strategy] = count
    return strategy


def rolled(random: Random) -> st.DrawFn:
    """Draws by dice, for what is drawn outside of Hypothesis: by the hundred thousand, without shrinking."""
    return lambda strategy: random.randrange(_SIZES[strategy])


def pick(draw: st.DrawFn, options: Sequence[T]) -> T:
    """One of the options."""
    return options[draw(_below(len(options)))]


def coin(draw: st.DrawFn, of: int = 2) -> bool:
    """True once in `of` times, or so."""
    return draw(_below(of)) == of - 1


def some(draw: st.DrawFn, options: Sequence[T], most: int, least: int = 0) -> list[T]:
    """Between `least` and `most` distinct options, in any order."""
    left = list(options)
    size = least + draw(_below(min(most, len(left)) - least + 1))
    return [left.pop(draw(_below(len(left)))) for _ in range(size)]
