"""Sets of networks as intervals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policy_service.engine.intervals import Intervals
from policy_service.model.address import LAST_POINT, Network

small_networks = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda pair: Network(pair[0], sum(pair), "")), max_size=6
)


@given(networks=small_networks)
def test_membership(networks: list[Network]) -> None:
    """A point is in the intervals exactly when it is in one of the networks."""
    intervals = Intervals(networks)
    for point in range(60):
        assert (point in intervals) == any(point in network for network in networks)


def test_neighbours_become_one_interval() -> None:
    """Adjacent, nested and repeated networks are merged, so that look-ups stay short."""
    intervals = Intervals(
        [Network(8, 11, ""), Network(0, 3, ""), Network(4, 7, ""), Network(1, 2, ""), Network(0, 3, "")]
    )
    assert intervals.bounds == [0, 12]


def test_cidrs_of_both_families_share_one_line() -> None:
    """No IPv6 network contains an IPv4 address, and `any` contains every address."""
    assert 5 not in Intervals.of_cidrs(["2001:db8::/32"])
    assert 10 << 24 in Intervals.of_cidrs(["2001:db8::/32", "10.0.0.0/8"])
    everywhere = Intervals.of_cidrs(["any"])
    assert 0 in everywhere
    assert LAST_POINT in everywhere


def test_unreadable_cidr_contains_nothing() -> None:
    """A CIDR that ought not to be in the facts keeps the door shut."""
    assert 0 not in Intervals.of_cidrs(["0.0.0.0/0", "nonsense"])
