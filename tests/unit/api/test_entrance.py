"""Who may come in: which header's key, from which address, and what users of the older header are told."""

from __future__ import annotations

from datetime import date
from email.utils import parsedate_to_datetime

import pytest

from policy_service.api.entrance import Entrance, EntranceSettings, LegacyHeader
from policy_service.api.incoming import Incoming
from policy_service.model.address import Network, parse_network
from policy_service.model.errors import RequestError
from tests.unit.api.desk import Desk, problem_code
from tests.unit.service.house import House

KEY = "psx_one"
OTHER = "psx_two"
LEGACY = "x-planasonix-api-key"


def network(text: str) -> Network:
    """A network that is known to be one."""
    found = parse_network(text)
    assert isinstance(found, Network)
    return found


def entrance(settings: EntranceSettings | None = None) -> Entrance:
    """An entrance of a house without furniture."""
    house = House()
    return Entrance(house.gate, house.replica, settings or EntranceSettings())


def incoming(*headers: tuple[str, str], peer: str | None = "192.0.2.7") -> Incoming:
    """A request with these headers."""
    return Incoming(tuple((name.encode(), value.encode()) for name, value in headers), peer, b"")


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([], None),
        ([("authorization", f"Bearer {KEY}")], KEY),
        ([("authorization", f"bEARER  {KEY} ")], KEY),
        ([("authorization", "Bearer")], None),
        ([("authorization", "Bearer ")], None),
        ([("authorization", f"Basic {KEY}")], None),
        ([("authorization", KEY)], None),
        ([("authorization", f"Bearer {KEY} x")], f"{KEY} x"),
        ([(LEGACY, KEY)], KEY),
        ([("authorization", f"Bearer {KEY}"), (LEGACY, KEY)], KEY),
        ([("authorization", f"Bearer {KEY}"), ("authorization", f"Bearer {KEY}")], KEY),
    ],
)
def test_the_presented_key_is_found(headers: list[tuple[str, str]], key: str | None) -> None:
    """Bearer in any case, or the older header; another scheme shows no key."""
    assert entrance().presented(incoming(*headers)) == key


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", f"Bearer {KEY}"), (LEGACY, OTHER)],
        [("authorization", f"Bearer {KEY}"), ("authorization", f"Bearer {OTHER}")],
        [(LEGACY, KEY), (LEGACY, OTHER)],
    ],
)
def test_different_keys_in_the_headers_are_400(headers: list[tuple[str, str]]) -> None:
    """Nobody guesses which one was meant."""
    with pytest.raises(RequestError) as caught:
        entrance().presented(incoming(*headers))
    assert (caught.value.code, caught.value.status) == ("conflicting_credentials", 400)
    assert KEY not in caught.value.message


def test_the_older_header_is_a_setting() -> None:
    """Another name, or none at all."""
    other = entrance(EntranceSettings(legacy=LegacyHeader("X-Old-Key")))
    assert other.presented(incoming(("x-old-key", KEY))) == KEY
    assert other.presented(incoming((LEGACY, KEY))) is None
    none = entrance(EntranceSettings(legacy=None))
    assert none.presented(incoming((LEGACY, KEY))) is None
    assert none.notices(incoming((LEGACY, KEY))) == ()


PROXIES = EntranceSettings(trusted_proxies=(network("10.0.0.0/8"), network("2001:db8::/32")))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.7", ["203.0.113.9"], "192.0.2.7"),
        ("10.1.1.1", [], "10.1.1.1"),
        ("10.1.1.1", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.1.1.1", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8::1", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.1.1", ["198.51.100.1, 203.0.113.9, 10.2.2.2"], "203.0.113.9"),
        ("10.1.1.1", ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        ("10.1.1.1", ["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
        ("10.1.1.1", ["203.0.113.9, not an address"], "not an address"),
        (None, ["203.0.113.9"], None),
    ],
)
def test_forwarded_addresses_are_believed_of_trusted_proxies_only(
    peer: str | None, forwarded: list[str], address: str | None
) -> None:
    """The caller is the last hop that is no trusted proxy; what a stranger wrote before it counts for nothing."""
    headers = [("x-forwarded-for", value) for value in forwarded]
    assert entrance(PROXIES).address(incoming(*headers, peer=peer)) == address


def test_without_trusted_proxies_nothing_forwarded_is_believed() -> None:
    """The default."""
    assert entrance().address(incoming(("x-forwarded-for", "203.0.113.9"), peer="127.0.0.1")) == "127.0.0.1"


def test_a_key_bound_to_an_address_is_held_to_the_tcp_peer(house: House) -> None:
    """A caller cannot talk itself elsewhere by a header."""
    key = house.key("system", principal="gw", scopes=("decisions:evaluate",), cidrs=("203.0.113.0/24",)).text
    with Desk(house, key=key) as desk:
        assert problem_code(desk.decide(), 403) == "ip_not_allowed"
        refused = desk.call("POST", "/decide", {}, headers=[("X-Forwarded-For", "203.0.113.9")])
        assert problem_code(refused, 403) == "ip_not_allowed"
    with Desk(house, key=key, peer="203.0.113.9") as desk:
        assert desk.decide().status_code == 200
    behind = EntranceSettings(trusted_proxies=(network("192.0.2.0/24"),))
    with Desk(house, key=key, settings=behind) as desk:
        assert desk.call("POST", "/decide", {}, headers=[("X-Forwarded-For", "203.0.113.9")]).status_code == 400


def test_users_of_the_older_header_are_told_of_its_end(tenant: Desk) -> None:
    """On every answer, good or bad: Deprecation (RFC 9745), Sunset (RFC 8594) and a link."""
    for key in (tenant.key, "psx_wrong"):
        answer = tenant.call("GET", "/v1/users", key=None, headers=[("X-Planasonix-Api-Key", str(key))])
        assert answer.status_code == (200 if key == tenant.key else 401)
        assert answer.headers["deprecation"] == "@1793491200"
        assert parsedate_to_datetime(answer.headers["sunset"]).date() == date(2027, 12, 31)
        assert 'rel="deprecation"' in answer.headers["link"]
    assert "deprecation" not in tenant.call("GET", "/v1/users").headers


LEGACY_CASES: list[tuple[str, str, str | None, str | None, int]] = [
    # method, path, Bearer, older header (None: not shown; "good": the tenant's key), status
    ("GET", "/v1/users", None, "good", 200),
    ("GET", "/v1/users", "good", "good", 200),
    ("GET", "/v1/users", "good", "psx_other", 400),
    ("GET", "/v1/users", "psx_other", "good", 400),
    ("GET", "/v1/users", "good", "", 400),
    ("GET", "/v1/users", None, "psx_other", 401),
    ("GET", "/v1/users", None, "", 401),
    ("GET", "/v1/users/nobody", None, "good", 404),
    ("PUT", "/v1/users/mira", None, "good", 400),
    ("POST", "/decide", None, "good", 400),
    ("POST", "/decide/batch", None, "good", 400),
    ("GET", "/v1/workspaces", None, "good", 403),
    ("GET", "/v1/users", "good", None, 200),
    ("GET", "/v1/users", None, None, 401),
]


@pytest.mark.parametrize(("method", "path", "bearer", "legacy", "status"), LEGACY_CASES)
def test_each_use_of_the_older_header(
    tenant: Desk, method: str, path: str, bearer: str | None, legacy: str | None, status: int
) -> None:
    """Alone it counts; beside Bearer it must say the same, else 400; whoever used it is told of its end."""
    headers = [("X-Planasonix-Api-Key", str(tenant.key) if legacy == "good" else legacy)] if legacy is not None else []
    answer = tenant.call(method, path, key=str(tenant.key) if bearer == "good" else bearer, headers=headers)
    assert answer.status_code == status, answer.text
    assert ("deprecation" in answer.headers) == ("sunset" in answer.headers) == (legacy is not None)
    links = answer.headers.get_list("link")
    assert [link.split("; ")[1] for link in links] == ([] if legacy is None else ['rel="deprecation"', 'rel="sunset"'])
    if bearer is not None and legacy is not None and status == 400:
        assert problem_code(answer, 400) == "conflicting_credentials"
        assert 'error="invalid_request"' in answer.headers["www-authenticate"]


def test_the_deprecation_is_before_the_sunset() -> None:
    """RFC 9745 section 4; and both are dates in the form of their own RFC."""
    notices = dict(LegacyHeader().notices()[:2])
    assert notices["deprecation"].startswith("@")
    assert int(notices["deprecation"][1:]) < parsedate_to_datetime(notices["sunset"]).timestamp()
    assert notices["sunset"].endswith(" GMT")


def test_an_oversized_body_with_the_older_header_is_told_too(tenant: Desk) -> None:
    """The notice does not depend on how far the request came."""
    legacy = [("X-Planasonix-Api-Key", str(tenant.key))]
    answer = tenant.call("POST", "/decide", key=None, headers=legacy, content=b" " * 70_000)
    assert problem_code(answer, 413) == "body_too_large"
    assert "deprecation" in answer.headers


def test_an_application_without_facts_says_so_instead_of_refusing_keys() -> None:
    """An empty snapshot knows no key: a good caller must not be called unknown."""
    with Desk(House(), key=KEY) as desk:
        answer = desk.decide()
        assert problem_code(answer, 503) == "starting"
        assert answer.headers["retry-after"] == "1"
