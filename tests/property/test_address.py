"""Theorems about addresses: the engine's reading against the grammar, character by character."""

from __future__ import annotations

import ipaddress

from hypothesis import example, given
from hypothesis import strategies as st

from policy_service.engine.intervals import Intervals
from policy_service.model.address import LAST_POINT, Network, address_point, address_text, parse_network
from tests.oracle import addresses
from tests.property.strategies import GOOD_IPS, ODD_IPS

V6_BASE = 1 << 32
V4 = st.integers(0, 2**32 - 1).map(lambda n: str(ipaddress.IPv4Address(n)))
V6 = st.integers(0, 2**128 - 1).map(lambda n: str(ipaddress.IPv6Address(n)))
GROUP = st.one_of(st.just(""), st.text("0123456789abcdefABCDEF", min_size=1, max_size=5), st.just("0"))
ALMOST_V6 = st.lists(GROUP, min_size=2, max_size=10).map(":".join)
OCTET = st.sampled_from(("0", "1", "9", "10", "255", "256", "01", "00", "", "1e", "٣"))
DOTTED = st.lists(OCTET, max_size=6).map(".".join)
MIXED = st.tuples(ALMOST_V6, DOTTED).map(":".join)
NOISE = st.text("0123456789abcdefx:.%/[] -\n\0", max_size=50)
SPELLINGS = st.one_of(V4, V6, ALMOST_V6, DOTTED, MIXED, NOISE, st.sampled_from(GOOD_IPS + ODD_IPS))


def as_point(address: addresses.Address | None) -> int | None:
    """The oracle's address on the engine's line."""
    if address is None:
        return None
    return int(address[1], 2) + (V6_BASE if address[0] == 6 else 0)


@given(SPELLINGS)
@example("0:0:0:0:0:0:255.255.255.255")
@example("0000:0000:0000:0000:0000:ffff:255.255.255.255")
def test_an_address_is_read_by_its_grammar_and_nothing_else(text: str) -> None:
    """Every spelling is valid for both or for neither, and then the same point."""
    assert address_point(text) == as_point(addresses.parse_address(text))


@given(st.integers(0, V6_BASE + 2**128 - 1))
def test_a_point_s_canonical_text_reads_as_that_point(point: int) -> None:
    """But for the points of mapped addresses, which no text names: those are IPv4 addresses."""
    text = address_text(point)
    mapped = V6_BASE + 0xFFFF_0000_0000 <= point < V6_BASE + 0x1_0000_0000_0000
    assert address_point(text) == (point - V6_BASE - 0xFFFF_0000_0000 if mapped else point)


NO_LENGTHS = ("", "08", "+8", "٨", "8 ", "-1", "255.0.0.0", "9" * 9)
LENGTHS = st.one_of(st.integers(0, 130).map(str), st.sampled_from(NO_LENGTHS))
CIDRS = st.one_of(
    st.just("any"),
    V4,
    st.tuples(V4, LENGTHS).map("/".join),
    st.tuples(V6, LENGTHS).map("/".join),
    st.tuples(st.integers(0, 32), st.integers(0, 2**32 - 1)).map(lambda p: network_text(4, *p)),
    st.tuples(st.integers(0, 128), st.integers(0, 2**128 - 1)).map(lambda p: network_text(6, *p)),
    st.tuples(st.sampled_from(ODD_IPS), LENGTHS).map("/".join),
)


def network_text(version: int, length: int, number: int) -> str:
    """A CIDR without host bits."""
    width = 32 if version == 4 else 128
    kind = ipaddress.IPv4Network if version == 4 else ipaddress.IPv6Network
    return str(kind((number >> (width - length) << (width - length), length)))


@given(CIDRS, SPELLINGS)
def test_a_network_contains_what_shares_its_prefix(cidr: str, text: str) -> None:
    """Where the text is a CIDR at all; what is refused says why in the author's words."""
    network, address = parse_network(cidr), addresses.parse_address(text)
    if isinstance(network, str):
        assert f"`{cidr}`" in network
        return
    for probe in filter(None, (address, addresses.parse_address(cidr.partition("/")[0]))):
        point = as_point(probe)
        assert point is not None
        assert (point in network) == addresses.contains(cidr, probe)
    assert parse_network(network.text) == network


@given(CIDRS)
def test_a_cidr_is_refused_exactly_for_the_reasons_that_are_documented(cidr: str) -> None:
    """Host bits, hostmasks, mapped prefixes, `/0`, unusual spellings; nothing else."""
    assert isinstance(parse_network(cidr), Network) == fit(cidr)


def fit(cidr: str) -> bool:
    """Whether a text is a CIDR by the letter of the design."""
    if cidr == "any":
        return True
    head, slash, length = cidr.partition("/")
    address = addresses.parse_address(head)
    if address is None or (":" in head and address[0] == 4):
        return False
    if not slash:
        return True
    if not length or any(character not in "0123456789" for character in length) or length[0] == "0":
        return False
    return int(length) <= len(address[1]) and "1" not in address[1][int(length) :]


@given(st.lists(CIDRS, max_size=6), st.lists(SPELLINGS, max_size=4))
def test_merged_intervals_contain_what_any_of_the_networks_does(cidrs: list[str], texts: list[str]) -> None:
    """A CIDR that cannot be read contains nothing: the door stays shut."""
    intervals, readable = Intervals.of_cidrs(cidrs), [cidr for cidr in cidrs if fit(cidr)]
    for text in [*texts, *(cidr.partition("/")[0] for cidr in cidrs)]:
        address = addresses.parse_address(text)
        point = as_point(address)
        if address is not None and point is not None:
            assert (point in intervals) == any(addresses.contains(cidr, address) for cidr in readable)
            edges = [point - 1, point + 1]
            for edge in edges:
                in_networks = any(edge in n for n in map(parse_network, cidrs) if isinstance(n, Network))
                assert (edge in intervals) == in_networks


NEARBY = st.one_of(
    st.just("any"),
    st.builds("10.0.0.{}/{}".format, st.integers(0, 7), st.integers(29, 32)),
    st.sampled_from(["10.0.0.0/29", "10.0.0.4/30", "10.0.0.4", "10.0.0.4/32", "10.0.0.6/31", "2001:db8::/32", "::/1"]),
)
"""Some are spelled with host bits: those are not read."""


@given(texts=st.lists(NEARBY, max_size=8))
def test_the_narrowest_network_is_told(texts: list[str]) -> None:
    """Of the networks around a point the smallest is told; of equal ones the first by text."""
    intervals = Intervals.of_cidrs(texts)
    networks = [(network, text) for text in texts if isinstance(network := parse_network(text), Network)]
    for point in [*range((10 << 24) - 1, (10 << 24) + 10), 0, 1 << 32, LAST_POINT]:
        around = [(network.last - network.first, text) for network, text in networks if point in network]
        assert intervals.narrowest(point) == (min(around)[1] if around else None)
