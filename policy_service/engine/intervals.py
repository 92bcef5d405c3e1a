"""A set of networks as sorted, disjoint intervals of points: membership by one bisection."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from policy_service.model.address import Network, parse_network


class Intervals:
    """An immutable set of points. Empty contains nothing.

    INVARIANT: membership equals that of any of the networks it was made of (test_intervals: membership).
    """

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, networks: Iterable[Network]) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for network in sorted(networks):
            self._append(network)

    def _append(self, network: Network) -> None:
        """Merge a network that starts no earlier than all before it."""
        if self._lasts and network.first <= self._lasts[-1] + 1:
            self._lasts[-1] = max(self._lasts[-1], network.last)
        else:
            self._firsts.append(network.first)
            self._lasts.append(network.last)

    def __contains__(self, point: int) -> bool:
        """Whether the point is in any of the networks. Cost: one bisection, about 0.1 µs."""
        position = bisect_right(self._firsts, point)
        return position > 0 and point <= self._lasts[position - 1]

    def covers(self, network: Network) -> bool:
        """Whether every point of a network is contained. Cost: one bisection."""
        position = bisect_right(self._firsts, network.first)
        return position > 0 and network.last <= self._lasts[position - 1]

    @classmethod
    def of_cidrs(cls, cidrs: Iterable[str]) -> Intervals:
        """From the spellings that facts hold. One that cannot be read contains nothing: the door stays shut."""
        return cls(network for network in map(parse_network, cidrs) if isinstance(network, Network))
