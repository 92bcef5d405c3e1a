"""networks.yaml: named lists of CIDRs, for `request.ip.inNetwork("name")`."""

from __future__ import annotations

from typing import Final

from policy_service.language.places import Place
from policy_service.language.report import quoted
from policy_service.model import names
from policy_service.model.address import Network, parse_network

_MAX_CIDRS: Final = 10_000


def read_networks(root: Place) -> dict[str, tuple[Network, ...]] | None:
    """Networks by name, each sorted; None when nothing can be said of them.

    Names with mistakes are in it too, so that their use is not reported as well.
    """
    fields = root.fields("this file", ("networks",), ("networks",)) or {}
    members = fields["networks"].members("a mapping from names to lists of CIDRs") if "networks" in fields else None
    if members is None:
        return None
    found = {}
    for key, value in members:
        name = key.name(names.NAME, "a network name such as office")
        networks = _read_cidrs(value)
        if name is not None:
            found[name] = networks
    return dict(sorted(found.items()))


def _read_cidrs(place: Place) -> tuple[Network, ...]:
    items = place.items("a list of CIDRs")
    if items is None:
        return ()
    if not items:
        place.error("empty-list", "a network needs at least one CIDR; write one, or `any`")
    if len(items) > _MAX_CIDRS:
        place.error("too-many", f"there are more than {_MAX_CIDRS} CIDRs; merge some")
        return ()
    found: set[Network] = set()
    for item in items:
        network = read_cidr(item)
        if network in found:
            item.warn("duplicate-item", f"{quoted(network.text)} stands in this list already; keep one")
        elif network is not None:
            found.add(network)
    return tuple(sorted(found))


def read_cidr(place: Place) -> Network | None:
    """One CIDR, or the word `any`."""
    text = place.text("a CIDR")
    if text is None:
        return None
    network = parse_network(text) if len(text) <= 64 and text.isprintable() else f"{quoted(text)} is not a CIDR"
    if isinstance(network, str):
        place.error("bad-cidr", network)
        return None
    return network
