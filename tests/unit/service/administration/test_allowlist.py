"""The allowlist: canonical CIDRs, each once."""

from __future__ import annotations

import pytest

from policy_service.model.errors import RequestError
from policy_service.model.facts import AllowlistEntry, IpAllowlist
from policy_service.service.administration.allowlist import MAX_ENTRIES, canonical_cidrs
from tests.unit.service.house import TENANT, House
from tests.unit.service.refusals import refused


def _entries(*cidrs: str) -> list[AllowlistEntry]:
    return [AllowlistEntry(cidr=cidr, label=f"number {number}") for number, cidr in enumerate(cidrs)]


def test_there_is_always_one_to_show(house: House) -> None:
    """Where none was ever put it is off and empty."""
    assert house.admin.get_allowlist(TENANT, "acme").fact == IpAllowlist(workspace="acme")


def test_put_keeps_order_and_labels_and_spells_cidrs_canonically(house: House) -> None:
    """A bare address becomes its /32 or /128; `any` stays a word."""
    written = house.admin.put_allowlist(
        TENANT, "acme", enabled=True, entries=_entries("203.0.113.7", "2001:DB8:0::/32", "any")
    )
    assert written.created
    assert written.fact is not None
    assert [(e.cidr, e.label) for e in written.fact.entries] == [
        ("203.0.113.7/32", "number 0"),
        ("2001:db8::/32", "number 1"),
        ("any", "number 2"),
    ]
    assert house.admin.get_allowlist(TENANT, "acme").fact == written.fact


def test_put_replaces_and_the_same_again_changes_nothing(house: House) -> None:
    """Switching it off keeps the entries that are sent along."""
    house.admin.put_allowlist(TENANT, "acme", enabled=True, entries=_entries("10.0.0.0/8"))
    off = house.admin.put_allowlist(TENANT, "acme", enabled=False, entries=_entries("10.0.0.0/8"))
    assert not off.created
    assert off.change is not None
    assert house.admin.put_allowlist(TENANT, "acme", enabled=False, entries=_entries("10.0.0.0/8")).change is None


def test_enabled_and_empty_is_legal(house: House) -> None:
    """It denies everybody, which may be meant."""
    assert house.admin.put_allowlist(TENANT, "acme", enabled=True).fact == IpAllowlist(workspace="acme", enabled=True)


@pytest.mark.parametrize("store_kind", ["memory"], indirect=True)
@pytest.mark.parametrize(
    "cidr",
    [
        "",
        "10.0.0.1/8",
        "0.0.0.0/0",
        "::/0",
        "10.0.0.0/0.0.0.255",
        "::ffff:10.0.0.0/104",
        "010.0.0.0/8",
        "ANY",
        "x" * 99,
        "a\nb",
    ],
)
def test_a_cidr_of_another_form_is_refused(house: House, cidr: str) -> None:
    """Host bits, hostmasks, mapped prefixes, /0 and whatever is no CIDR."""
    with refused(house, "invalid_cidr"):
        house.admin.put_allowlist(TENANT, "acme", enabled=True, entries=_entries("192.0.2.0/24", cidr))


def test_the_entry_at_fault_is_named() -> None:
    """The index is in the details and in the message."""
    with pytest.raises(RequestError, match=r"`entries\[1\]`") as raised:
        canonical_cidrs(["10.0.0.0/8", "nonsense"], "entries")
    assert raised.value.details == {"index": 1}


@pytest.mark.parametrize("twice", [("10.0.0.1", "10.0.0.1/32"), ("any", "any"), ("2001:db8::/32", "2001:DB8::/32")])
def test_the_same_network_twice_is_refused(house: House, twice: tuple[str, str]) -> None:
    """However it is spelled."""
    with refused(house, "duplicate_cidr"):
        house.admin.put_allowlist(TENANT, "acme", enabled=True, entries=_entries(*twice))


def test_a_list_too_long_or_a_bad_label_is_refused(house: House) -> None:
    """Bounds everywhere."""
    many = _entries(*(f"10.{i >> 8}.{i & 255}.0/24" for i in range(MAX_ENTRIES + 1)))
    with refused(house, "too_many_entries"):
        house.admin.put_allowlist(TENANT, "acme", enabled=True, entries=many)
    assert house.admin.put_allowlist(TENANT, "acme", enabled=True, entries=many[:-1]).created
    with refused(house, "invalid_text"):
        house.admin.put_allowlist(TENANT, "acme", enabled=True, entries=[AllowlistEntry(cidr="any", label="a\0")])
