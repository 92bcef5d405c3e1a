"""Sets of networks as intervals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policy_service.engine.intervals import Intervals
from policy_service.model.address import LAST_POINT, Network, parse_network

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
    assert intervals._firsts == [0]
    assert intervals._lasts == [11]


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


cidrs = st.one_of(
    st.just("any"),
    st.builds("10.0.0.{}/{}".format, st.integers(0, 7), st.integers(29, 32)),
    st.sampled_from(["10.0.0.0/29", "10.0.0.4/30", "10.0.0.4", "10.0.0.4/32", "10.0.0.6/31", "2001:db8::/32", "::/1"]),
)
"""Some are spelled with host bits: those are not read."""


@given(texts=st.lists(cidrs, max_size=8))
def test_the_narrowest(texts: list[str]) -> None:
    """Of the networks around a point the smallest is told; of equal ones the first by text."""
    intervals = Intervals.of_cidrs(texts)
    networks = [(network, text) for text in texts if isinstance(network := parse_network(text), Network)]
    for point in [*range((10 << 24) - 1, (10 << 24) + 10), 0, 1 << 32, LAST_POINT]:
        around = [(network.last - network.first, text) for network, text in networks if point in network]
        assert intervals.narrowest(point) == (min(around)[1] if around else None)
