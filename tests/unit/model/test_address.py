"""Addresses and networks: strict spellings, one integer line."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.model.address import ANY, LAST_POINT, Network, address_point, address_text, parse_network

UNUSUAL = [
    "",
    " 10.0.0.1",
    "10.0.0.1 ",
    "10.0.0.1\n",
    "010.0.0.1",
    "10.0.0.01",
    "0x0a.0.0.1",
    "0x0a000001",
    "167772161",
    "10.1",
    "10.0.1",
    "10.0.0.1.",
    "10.0.0.256",
    "10.0.0.1:80",
    "[2001:db8::1]",
    "[2001:db8::1]:443",
    "fe80::1%eth0",
    "fe80::1%1",
    "::ffff:010.0.0.1",
    "2001:db8::1::2",
    "2001:db8:::1",
    "12345::",
    "10.0.0.1/32",
    "１0.0.0.1",
    "١٠.0.0.1",
    "10.0.0.1\x00",
    "\x00",
    "localhost",
    "::ffff:10.0.0",
    "1:2:3:4:5:6:7:8:9",
    "1" * 1_000_000,
]


@pytest.mark.parametrize("text", UNUSUAL)
def test_every_unusual_spelling_is_invalid(text: str) -> None:
    """What another parser might read differently is not an address here."""
    assert address_point(text) is None


@pytest.mark.parametrize("mapped", ["::ffff:10.0.0.1", "::FFFF:a00:1", "0:0:0:0:0:ffff:0a00:0001"])
def test_a_mapped_address_is_its_ipv4_address(mapped: str) -> None:
    """However an IPv4-mapped address is spelled, it is the IPv4 address."""
    assert address_point(mapped) == address_point("10.0.0.1")


@pytest.mark.parametrize("text", ["::10.0.0.1", "2002:a00:1::", "64:ff9b::10.0.0.1"])
def test_other_embedded_forms_are_just_ipv6(text: str) -> None:
    """Compatible, 6to4 and NAT64 addresses do not become IPv4."""
    point = address_point(text)
    assert point is not None
    assert point > 2**32


@given(st.integers(0, 2**32 - 1))
def test_ipv4_points_are_the_addresses_numbers(number: int) -> None:
    """Text and point name each other."""
    text = str(ipaddress.IPv4Address(number))
    assert address_point(text) == number
    assert address_text(number) == text


@given(st.integers(0, 2**128 - 1))
def test_ipv6_points_lie_behind_all_of_ipv4(number: int) -> None:
    """No IPv6 point is an IPv4 point, except for the mapped block, which is IPv4."""
    address = ipaddress.IPv6Address(number)
    point = address_point(str(address))
    assert point == (int(address.ipv4_mapped) if address.ipv4_mapped else number + 2**32)


@given(st.integers(0, 2**128 - 1), st.integers(1, 128))
def test_an_ipv6_network_holds_what_the_standard_library_says(number: int, length: int) -> None:
    """The interval of a network is that of the standard library, moved onto our line."""
    net = ipaddress.IPv6Network((number, length), strict=False)
    parsed = parse_network(str(net))
    if net.network_address.ipv4_mapped:
        assert isinstance(parsed, str)
        return
    assert isinstance(parsed, Network)
    assert (parsed.first - 2**32, parsed.last - 2**32) == (int(net[0]), int(net[-1]))


@given(st.integers(0, 2**32 - 1), st.integers(1, 32))
def test_an_ipv4_network_holds_what_the_standard_library_says(number: int, length: int) -> None:
    """Likewise for IPv4; and its canonical text reads back as itself."""
    net = ipaddress.IPv4Network((number, length), strict=False)
    parsed = parse_network(str(net))
    assert parsed == Network(int(net[0]), int(net[-1]), str(net))


def test_a_short_ipv6_prefix_contains_no_ipv4_address() -> None:
    """`::/8` covers the mapped block on paper; an IPv4 address is not in it."""
    network = parse_network("::/8")
    assert isinstance(network, Network)
    assert address_point("10.0.0.1") not in network
    assert address_point("::ffff:10.0.0.1") not in network
    assert address_point("::1") in network


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("10.0.0.1/8", "host bits set; write `10.0.0.0/8`"),
        ("2001:db8::1/32", "host bits set; write `2001:db8::/32`"),
        ("10.0.0.0/0.0.0.255", "needs a prefix length"),
        ("10.0.0.0/255.0.0.0", "needs a prefix length"),
        ("10.0.0.0/", "needs a prefix length"),
        ("10.0.0.0/08", "needs a prefix length"),
        ("10.0.0.0/+8", "needs a prefix length"),
        ("10.0.0.0/8 ", "needs a prefix length"),
        ("10.0.0.0/٨", "needs a prefix length"),
        ("10.0.0.0/33", "longer than 32 bits"),
        ("2001:db8::/129", "longer than 128 bits"),
        ("10.0.0.0/99999999999", "longer than 32 bits"),
        ("0.0.0.0/0", "the word `any`"),
        ("::/0", "the word `any`"),
        ("::ffff:10.0.0.0/104", "IPv4-mapped prefix"),
        ("::ffff:0:0/96", "IPv4-mapped prefix"),
        ("10.0/16", "is not a CIDR"),
        ("010.0.0.0/8", "is not a CIDR"),
        ("office", "is not a CIDR"),
        ("", "is not a CIDR"),
        ("ANY", "is not a CIDR"),
    ],
)
def test_a_refused_network_says_what_to_write(text: str, phrase: str) -> None:
    """Every refusal names the trouble and, where there is one, the right spelling."""
    answer = parse_network(text)
    assert isinstance(answer, str)
    assert phrase in answer


def test_any_is_the_whole_line_and_a_bare_address_one_point() -> None:
    """The word `any` holds every address; a bare address is its own network."""
    assert parse_network("any") is ANY
    assert (ANY.first, ANY.last) == (0, LAST_POINT)
    assert parse_network("203.0.113.7") == Network(3405803783, 3405803783, "203.0.113.7/32")
    lone = parse_network("2001:DB8::1")
    assert isinstance(lone, Network)
    assert lone.text == "2001:db8::1/128"
