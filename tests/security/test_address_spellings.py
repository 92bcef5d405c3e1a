"""Every spelling of an address, through `/decide` of a running server, against a slow reference that shares no code."""

from __future__ import annotations

import ipaddress
import json
import random
import time
from collections.abc import Sequence
from typing import Any

import pytest

from tests.oracle.addresses import contains, parse_address
from tests.security.counting import Attacks
from tests.security.house import House
from tests.security.spellings import ALLOWED, TABLE

KIND = "address spelling"
WORKSPACE = "listed"
QUESTION = {"scope": "pipelines:run", "resource": {"type": "pipeline", "id": "x", "workspace": WORKSPACE}}


class Listed:
    """A workspace with an allowlist, and a key of another that is bound to the same networks.

    Args:
        by_list: the question of a key in the workspace with the list.
        by_key: the question of a key with CIDRs of its own.
    """

    def __init__(self, house: House) -> None:
        self.house = house
        workspaces = [item["id"] for item in house.system("GET", "workspaces")["data"]]
        if WORKSPACE not in workspaces:
            house.system("POST", "workspaces", {"id": WORKSPACE, "name": ""})
        house.system("PUT", "service-principals/bot", {"name": ""}, WORKSPACE)
        entries = [{"cidr": cidr, "label": ""} for cidr in ALLOWED]
        house.system("PUT", "ip-allowlist", {"enabled": True, "entries": entries}, WORKSPACE)
        listed = house.make_key("service", "bot", ["pipelines:run"], WORKSPACE)["key"]
        bound = house.make_key("service", "ci", ["pipelines:run"], cidrs=list(ALLOWED))["key"]
        self.by_list = {**QUESTION, "key": listed}
        own = {"type": "pipeline", "id": "x", "workspace": "demo"}
        self.by_key = {**QUESTION, "key": bound, "resource": own}
        self.free = {**QUESTION, "key": house.init["service_key"], "resource": own}

    def reasons(self, question: dict[str, Any], addresses: Sequence[str]) -> list[str]:
        """The server's reason for each spelling."""
        results = self.house.batch([{**question, "source_ip": address} for address in addresses])
        return [item["reason"] for item in results]


@pytest.fixture(scope="module")
def listed(house: House) -> Listed:
    """Made once."""
    return Listed(house)


def expected(address: str, networks: Sequence[str]) -> str:
    """The reason by the reference. Without any network, every valid address is allowed."""
    parsed = parse_address(address)
    if parsed is None:
        return "invalid_source_ip"
    return "allowed" if not networks or any(contains(cidr, parsed) for cidr in networks) else "ip_not_allowed"


def judge(listed: Listed, addresses: Sequence[str], attacks: Attacks) -> None:
    """Hold the server to the reference: by the workspace's list, by the key's CIDRs, and where nothing applies."""
    for question, networks in ((listed.by_list, ALLOWED), (listed.by_key, ALLOWED), (listed.free, ())):
        found = dict(zip(addresses, listed.reasons(question, addresses), strict=True))
        attacks(KIND, len(addresses))
        wrong = {a: (r, expected(a, networks)) for a, r in found.items() if r != expected(a, networks)}
        assert wrong == {}


def test_every_spelling_of_the_table(listed: Listed, attacks: Attacks) -> None:
    """Right, unusual and wrong ones; RFC 4291 section 2.2 and RFC 5952 with their corners."""
    assert len(set(TABLE)) > 300
    judge(listed, sorted(set(TABLE)), attacks)


def test_what_is_too_long_to_be_recorded_is_not_decided(listed: Listed, attacks: Attacks) -> None:
    """A kilobyte of nonsense makes a decision; ten are refused, alone and in a batch."""
    [fits, too_long] = listed.house.batch([{**listed.free, "source_ip": "1" * length} for length in (1000, 10_000)])
    attacks(KIND, 2)
    assert fits["reason"] == "invalid_source_ip"
    assert (too_long["error"]["status"], too_long["error"]["code"]) == (413, "request_too_large")


def test_every_character_beside_and_inside_an_address(listed: Listed, attacks: Attacks) -> None:
    """All of ASCII and Latin-1, and digits, dots and colons of other scripts, at every place of an address."""
    strange = [chr(code) for code in range(256)] + [*"٠١۲०৭０１．：。․‧ⅰⅷ①𝟎𝟙\u200b\u202e\u2066\ufeff\u3000\u2028"]
    for address in ("10.0.0.1", "2001:db8::1"):
        places = (0, 1, len(address) // 2, len(address))
        spelled = [address[:at] + character + address[at:] for at in places for character in strange]
        judge(listed, sorted(set(spelled)), attacks)


def test_control_characters_make_a_decision_and_not_a_mistake(listed: Listed, attacks: Attacks) -> None:
    """A stranger's text is judged, whatever it holds: `invalid_source_ip`, alone as in a batch."""
    for address in ("10.0.0.1\0", "\x1b[31m10.0.0.1", "10.0.0.1\r\nX: y"):
        body = {**listed.by_list, "source_ip": address}
        response = listed.house.call("POST", "/decide", listed.house.init["caller_key"], json=body)
        attacks(KIND)
        assert (response.status_code, response.json()["reason"]) == (200, "invalid_source_ip")


@pytest.mark.parametrize("value", [1, 167772161, True, 1.5, [], ["10.0.0.1"], {}, {"ip": "10.0.0.1"}])
def test_what_is_no_text_is_a_mistake(listed: Listed, value: Any, attacks: Attacks) -> None:
    """An integer is no address: 400, not a decision."""
    body = json.dumps({**listed.by_list, "source_ip": value})
    response = listed.house.call("POST", "/decide", listed.house.init["caller_key"], content=body)
    attacks(KIND)
    assert (response.status_code, response.json()["code"]) == (400, "wrong_type")


def test_absent_is_not_a_way_round(listed: Listed, attacks: Attacks) -> None:
    """No address, or null, where a list or the key's CIDRs apply."""
    for question in (listed.by_list, listed.by_key):
        for more in ({}, {"source_ip": None}):
            (item,) = listed.house.batch([{**question, **more}])
            attacks(KIND)
            assert item["reason"] == "invalid_source_ip"


PIECES = [*".:0123456789abcfFxX%/[] +-\n", "", "::", "0.", ":0", "ffff:", "\0", "٣", "．"]
GROUPS = ["0", "00", "000", "0000", "1", "db8", "2001", "ffff", "FFFF", "fe80", "64", "ff9b", "00000", "g", ""]
OCTETS = ["0", "1", "7", "10", "113", "203", "255", "256", "00", "01", "0x7", "", "1e1", "٣"]
SHORT = [address for address in TABLE if len(address) < 60]


def drawn(rng: random.Random) -> str:
    """One spelling: put together from pieces, mutated, or an address that is near a network or anywhere."""

    def groups(most: int) -> str:
        return ":".join(rng.choice(GROUPS) for _ in range(rng.randint(0, most)))

    def quad() -> str:
        return ".".join(rng.choice(OCTETS) for _ in range(rng.choice((4, 4, 4, 3, 5))))

    match rng.randrange(7):
        case 0:
            return quad()
        case 1:
            return groups(9) + rng.choice([":", "::", ""]) + groups(9)
        case 2:
            return groups(6) + rng.choice([":", "::"]) + quad()
        case 3 | 4:
            text = rng.choice(SHORT)
            for _ in range(rng.randint(1, 3)):
                at = rng.randint(0, len(text))
                text = text[:at] + rng.choice(PIECES) + text[at + rng.randint(0, 3) :]
            return text
        case 5:
            near = ipaddress.ip_network(rng.choice(["203.0.112.0/22", "2001:db8::/30", "::ffff:203.0.112.0/118"]))
            found = near[rng.randrange(near.num_addresses)]
        case _:
            found = ipaddress.ip_address(rng.getrandbits(128) >> rng.choice([0, 0, 96]))
    return rng.choice([str(found), found.exploded])


def _property(listed: Listed, attacks: Attacks, seconds: float) -> None:
    end = time.monotonic() + seconds
    seed = 0
    while time.monotonic() < end:
        rng = random.Random(seed)
        judge(listed, sorted({drawn(rng) for _ in range(1000)}), attacks)
        seed += 1


def test_any_spelling_is_judged_as_by_the_reference(listed: Listed, attacks: Attacks) -> None:
    """Spellings put together from pieces, mutated, and drawn evenly; for some seconds."""
    _property(listed, attacks, 4)


@pytest.mark.long
def test_any_spelling_is_judged_as_by_the_reference_for_longer(listed: Listed, attacks: Attacks) -> None:
    """The same for a minute."""
    _property(listed, attacks, 60)
