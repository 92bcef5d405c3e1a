"""Sets of networks as intervals."""

from __future__ import annotations

from hypothesis import example, given
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


@example(networks=[Network(0, 3, "")], first=2, length=2)
@given(networks=small_networks, first=st.integers(0, 50), length=st.integers(0, 12))
def test_a_network_is_covered_if_each_of_its_points_is(networks: list[Network], first: int, length: int) -> None:
    """By one network or by several that join."""
    intervals, asked = Intervals(networks), Network(first, first + length, "")
    assert intervals.covers(asked) == all(point in intervals for point in range(first, first + length + 1))


aligned_networks = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 63), st.sampled_from("abc")).map(
        lambda drawn: Network(
            drawn[1] >> drawn[0] << drawn[0], (drawn[1] >> drawn[0] << drawn[0]) + (1 << drawn[0]) - 1, drawn[2]
        )
    ),
    max_size=8,
)
"""As CIDRs are: nested or apart."""


@example(networks=[Network(0, 3, "a"), Network(2, 3, "b"), Network(3, 3, "c")])
@given(networks=aligned_networks)
def test_the_narrowest_network_is_the_smallest_that_contains_the_point(networks: list[Network]) -> None:
    """Of equal ones the first by text; where there is none, None."""
    intervals = Intervals(networks)
    for point in range(70):
        around = [(network.last - network.first, network.text) for network in networks if point in network]
        assert intervals.narrowest(point) == (min(around)[1] if around else None)


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
    assert Intervals.of_cidrs(["10.0.0.0/8", "10.1.0.0/16"]).narrowest(0x0A010203) == "10.1.0.0/16"


def test_unreadable_cidr_contains_nothing() -> None:
    """A CIDR that ought not to be in the facts keeps the door shut."""
    assert 0 not in Intervals.of_cidrs(["0.0.0.0/0", "nonsense"])
