"""Addresses by their grammar, slowly: RFC 4291 section 2.2, RFC 3986 section 3.2.2 (`dec-octet`), and nothing else.

Deliberately not the engine's way: no inet_pton, no integer line, no intervals. An address is `(version, bits)`, where
`bits` is a string of 32 or 128 characters `0` and `1`; a network contains an address when it is a prefix of it.
"""

from __future__ import annotations

DIGITS = "0123456789"
HEX_DIGITS = "0123456789abcdefABCDEF"

Address = tuple[int, str]


def parse_address(text: str) -> Address | None:
    """`(4, 32 bits)` or `(6, 128 bits)`; None for every spelling outside the strict grammar."""
    octets = parse_octets(text)
    if octets is not None:
        return 4, bits_of(octets, 8)
    groups = parse_groups(text)
    if groups is None:
        return None
    # "IPv4-mapped IPv6 is its IPv4 address": ::ffff:0:0/96, RFC 4291 section 2.5.5.2.
    if groups[:6] == [0, 0, 0, 0, 0, 0xFFFF]:
        return 4, bits_of(groups[6:], 16)
    # "::a.b.c.d, 6to4, NAT64 are just IPv6 addresses": nothing more to do.
    return 6, bits_of(groups, 16)


def bits_of(numbers: list[int], width: int) -> str:
    return "".join(format(number, f"0{width}b") for number in numbers)


def parse_octets(text: str) -> list[int] | None:
    """`dec-octet "." dec-octet "." dec-octet "." dec-octet`, without leading zeros."""
    parts = text.split(".")
    if len(parts) != 4:
        return None
    octets = []
    for part in parts:
        if not 1 <= len(part) <= 3:
            return None
        if any(character not in DIGITS for character in part):
            return None
        if len(part) > 1 and part[0] == "0":
            return None
        if int(part) > 255:
            return None
        octets.append(int(part))
    return octets


def parse_groups(text: str) -> list[int] | None:
    """Eight groups of 16 bits. `::` stands once at most, for one group or more."""
    if "::" not in text:
        groups = parse_side(text, dotted_end=True)
        return groups if groups is not None and len(groups) == 8 else None
    before, _, after = text.partition("::")
    if "::" in after:
        return None
    left = parse_side(before, dotted_end=False) if before else []
    right = parse_side(after, dotted_end=True) if after else []
    if left is None or right is None or len(left) + len(right) > 7:
        return None
    return left + [0] * (8 - len(left) - len(right)) + right


def parse_side(text: str, *, dotted_end: bool) -> list[int] | None:
    """Groups of one to four hexadecimal digits between colons; the last may be a dotted quad, worth two groups."""
    parts = text.split(":")
    tail: list[int] = []
    if dotted_end and "." in parts[-1]:
        octets = parse_octets(parts.pop())
        if octets is None:
            return None
        tail = [octets[0] * 256 + octets[1], octets[2] * 256 + octets[3]]
    groups = []
    for part in parts:
        if not 1 <= len(part) <= 4:
            return None
        if any(character not in HEX_DIGITS for character in part):
            return None
        groups.append(int(part, 16))
    return groups + tail


def contains(cidr: str, address: Address) -> bool:
    """Whether a valid CIDR (`any`, an address, or `address/length`) contains the address."""
    if cidr == "any":
        return True
    head, slash, length = cidr.partition("/")
    network = parse_address(head)
    assert network is not None, f"the oracle reads valid CIDRs only, not {cidr!r}"
    version, bits = network
    prefix = bits[: int(length)] if slash else bits
    return address[0] == version and address[1].startswith(prefix)
