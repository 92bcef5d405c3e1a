"""Text that would be more than text: in ids, names, labels, headers, the log and on a terminal."""

from __future__ import annotations

import json
import unicodedata
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.processes import command
from tests.security.counting import Attacks
from tests.security.house import House

CONTROLS = [chr(code) for code in (*range(0x20), 0x7F, *range(0x80, 0xA0))]
BIDI = [*"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"]
OTHERS = [*"\u2028\u2029\u200b\u200c\u200d\u2060\ufeff\u00ad\ufff9\U000e0041"]
PAYLOADS = [
    "\x1b[2J\x1b[31mroot\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b]8;;http://127.0.0.1\x07link\x1b]8;;\x07",
    "\x9b31m",
    "a\r\nX-Injected: yes",
    "a\nerror: forged [forged]",
    "2026-11-24 00:00:00 ERROR forged",
    "%0d%0aX-Injected: yes",
    "%s%s%n{0}{__class__}",
    "${jndi:ldap://127.0.0.1/x}",
    "<script>alert(1)</script>",
    "[bold red]markup[/bold red]",
    ":skull:",
    "=cmd|' /C calc'!A0",
    "../../etc/passwd",
    "'; DROP TABLE users; --",
    "admin\u202etxt.exe",
]
TEXTS = [*PAYLOADS, *(f"a{character}b" for character in (*CONTROLS, *BIDI, *OTHERS))]
KIND = "injection"


def is_safe(text: str) -> bool:
    """No character in a printed text could move a cursor, change a direction or hide."""
    return all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in text)


def headers_are_clean(response: Any) -> bool:
    """Nothing that was sent became a header, or part of one."""
    names = {name.lower() for name in response.headers}
    values = "".join(response.headers.values())
    return "x-injected" not in names and values.isascii() and values.isprintable()


@pytest.fixture(scope="module")
def stored(house: House, attacks_module: Attacks) -> list[str]:
    """The names, out of all texts, that the service took for users: each is then to be shown."""
    taken = []
    for number, text in enumerate(TEXTS):
        response = house.call("PUT", f"/v1/users/shown-{number}", house.keys["admin"], json={"name": text})
        attacks_module(KIND + ": in a name")
        assert headers_are_clean(response)
        if response.status_code == 201:
            taken.append(text)
            assert not any(c in text for c in CONTROLS), repr(text)
        else:
            assert (response.status_code, response.json()["code"]) == (400, "control_character"), repr(text)
    return taken


@pytest.fixture(scope="module")
def attacks_module() -> Attacks:
    """A count for what a fixture tries; the tests add it to their own."""
    return Attacks()


def test_names_with_controls_are_refused_and_the_rest_is_shown_escaped(
    house: House, stored: list[str], attacks_module: Attacks, attacks: Attacks
) -> None:
    """`users list`, `get` and JSON print no control and no bidirectional character; JSON reads back as stored."""
    attacks.count.update(attacks_module.count)
    assert len(stored) > len(BIDI)
    more = {"POLICY_SERVICE_KEY": house.keys["admin"] or ""}
    table = command("users", "list", "--url", house.server.url, **more)
    as_json = command("users", "list", "--url", house.server.url, "--json", **more)
    for done in (table, as_json):
        assert done.returncode == 0, done.stderr
        assert is_safe(done.stdout + done.stderr)
    names = {item["name"] for item in json.loads(as_json.stdout)["data"]}
    assert set(stored) <= names
    lines = [line for line in table.stdout.splitlines() if line.startswith("shown-")]
    assert len(lines) == len(stored), "a name makes one line, and no line of its own"
    attacks(KIND + ": on a terminal", 2 * len(stored))


def test_the_trail_of_changes_is_shown_escaped(house: House, stored: list[str], attacks: Attacks) -> None:
    """Whoever reads what was done is not deceived by it."""
    for form in ((), ("--json",)):
        more = {"POLICY_SERVICE_KEY": house.keys["admin"] or ""}
        done = command("changes", "list", "--url", house.server.url, *form, **more)
        assert done.returncode == 0, done.stderr
        assert is_safe(done.stdout + done.stderr)
        attacks(KIND + ": on a terminal", len(stored))


@pytest.mark.parametrize("noun", ["users", "service-principals", "teams", "workspaces"])
def test_no_id_holds_anything_but_an_ids_characters(house: House, noun: str, attacks: Attacks) -> None:
    """In the path, escaped as a URL escapes it: 400 or no such path, and no header of the attacker's."""
    for text in TEXTS:
        path = f"/v1/{noun}/{quote(text, safe='')}"
        for method in ("GET", "PUT", "DELETE"):
            key = house.keys["system"]
            response = house.call(method, path, key, json={} if method == "PUT" else None, params={"workspace": "demo"})
            attacks(KIND + ": in an id")
            assert response.status_code in (400, 404, 405), (text, response.text)
            assert headers_are_clean(response)
            assert not any(c in response.text for c in CONTROLS)


def test_texts_in_other_places(house: House, attacks: Attacks) -> None:
    """Labels, revocation reasons, allowlist labels, owners, attributes, query parameters."""
    key = house.keys["admin"]
    before = house.call("GET", "/v1/ip-allowlist", key).json()["data"]
    issued = {"principal": {"kind": "service", "id": "ci"}, "scopes": ["pipelines:run"]}
    for text in TEXTS:
        sent = [
            ("POST", "/v1/keys", {**issued, "labels": {text: text}}),
            ("PUT", "/v1/ip-allowlist", {"enabled": False, "entries": [{"cidr": "192.0.2.0/24", "label": text}]}),
            ("PUT", "/v1/resources/pipeline/shown", {"owner": None, "attributes": {"env": text, text: 1}}),
            ("PUT", "/v1/resources/pipeline/shown", {"owner": text}),
            ("POST", "/v1/keys", {"principal": {"kind": "service", "id": text}, "scopes": [text]}),
            ("POST", "/v1/role-bindings", {"role": text, "user": "ada"}),
        ]  # fmt: skip
        for method, path, body in sent:
            response = house.call(method, path, key, json=body)
            attacks(KIND + ": in a body")
            assert response.status_code in (200, 201, 400, 404), (text, response.text)
            assert headers_are_clean(response)
            if any(c in text for c in CONTROLS):
                assert response.status_code == 400, (text, path, response.text)
        for query in ({text: "1"}, {"cursor": text}, {"limit": text}, {"principal": text}):
            response = house.call("GET", "/v1/keys", key, params=query)
            attacks(KIND + ": in a query")
            assert response.status_code == 400, (query, response.text)
            assert headers_are_clean(response)
    house.call("PUT", "/v1/ip-allowlist", key, json={"enabled": before["enabled"], "entries": before["entries"]})
    done = command("keys", "list", "--url", house.server.url, POLICY_SERVICE_KEY=key or "")
    assert is_safe(done.stdout + done.stderr)


def test_a_scope_never_breaks_out_of_a_challenge(house: House, attacks: Attacks) -> None:
    """`www_authenticate`, which PEPs pass on as a header, holds the scope only where it can be a token."""
    texts = [*PAYLOADS, *(f"a{chr(code)}b:c" for code in range(0x20, 0x100)), 'a", error="x', *(f"a{c}b" for c in BIDI)]
    for text in texts:
        body = {"key": house.init["service_key"], "scope": text, "resource": "pipeline:x"}
        response = house.call("POST", "/decide", house.init["caller_key"], json=body)
        attacks(KIND + ": in a challenge")
        assert headers_are_clean(response)
        challenge = response.json().get("www_authenticate")
        if challenge is not None:
            assert challenge.isascii()
            assert challenge.isprintable()
            assert challenge.count('"') == 6 or challenge.count('"') == 4, challenge


RAW = [b"\r\n", b"\n", b"\r", b"\0", b"\x0b", b"\x1b[31m", b"\x7f", b"\x85", b"\x9b", b"\xe2\x80\xae", b"\t", b"\xff"]


def test_bytes_in_request_headers_come_back_in_none(house: House, attacks: Attacks) -> None:
    """On the wire, in every header that the service looks at: never in the head of an answer."""
    names = [
        b"Authorization", b"X-Planasonix-Api-Key", b"X-Request-Id", b"Traceparent", b"Tracestate", b"X-Forwarded-For",
        b"If-Match", b"If-None-Match", b"Content-Type", b"Accept", b"User-Agent", b"Origin", b"Referer",
    ]  # fmt: skip
    admin = (house.keys["admin"] or "").encode()
    for name in names:
        for piece in RAW:
            data = (
                b"PUT /v1/users/ada HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + admin
                + b"\r\n" + name + b": a" + piece + b"X-Injected: yes\r\nContent-Length: 1\r\n\r\n{"
            )  # fmt: skip
            received = house.raw(data)
            attacks(KIND + ": in a header")
            head = received.partition(b"\r\n\r\n")[0]
            assert b"x-injected" not in head.lower(), (name, piece, head)
            lines = head.replace(b"\r\n", b"").decode("latin-1")
            assert lines.isascii(), (name, piece, head)
            assert lines.isprintable(), (name, piece, head)
            assert head == b"" or head.startswith(b"HTTP/1.1 4"), head


def test_nothing_that_was_sent_stands_raw_in_the_log(house: House, attacks: Attacks) -> None:
    """After all that came before, at level debug: no control character, and no line that somebody else wrote."""
    house.raw(b"\x1b[2J\x07 / HTTP/1.1\r\n\r\n")
    house.call("GET", "/nowhere/%1b%5b2J%0aforged", None)
    attacks(KIND + ": in the log", 2)
    assert is_safe(house.server.text())
    assert "forged" not in house.server.text()
