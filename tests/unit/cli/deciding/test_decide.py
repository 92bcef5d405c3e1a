"""An author tries a request: by a key's id, at any instant, by rule files that are not published yet."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tests.unit.cli.terminal import Printed, Terminal
from tests.unit.service.house import RULE_FILES

REQUEST = ("--scope", "pipelines:run", "--resource", "pipeline:etl")
ACME = ("--workspace", "acme")
PIPELINE = """\
resource: pipeline
unregistered: allow
default: allow
attributes:
  env: string
  size: {type: int, default: 1}
rules:
  - name: not-in-production
    effect: deny
    when: has(resource.attr.env) && resource.attr.env == "prod"
    reason: production
  - name: not-so-large
    effect: deny
    when: resource.attr.size > 9 && request.time < timestamp("2030-01-01T00:00:00Z")
    reason: too_large
  - name: not-on-fridays
    effect: deny
    when: has(request.context.day) && request.context.day == "friday"
    reason: friday
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Rule files that nobody published."""
    files = {**RULE_FILES, "resources/pipeline.yaml": PIPELINE, "context.yaml": "context:\n  day: string\n"}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def reason(printed: Printed) -> tuple[int, str]:
    """Exit code and reason."""
    return printed.code, printed.json["reason"]


def test_a_key_is_named_by_its_id_and_no_secret_is_needed(terminal: Terminal) -> None:
    """Allow is exit code 0, deny 1."""
    key_id = terminal.house.key().api_key.id
    assert reason(terminal.run("decide", "--key-id", key_id, *REQUEST, *ACME, "--json")) == (0, "allowed")
    locked = ("--scope", "pipelines:run", "--resource", "pipeline:locked-1", *ACME, "--json")
    assert reason(terminal.run("decide", "--key-id", key_id, *locked)) == (1, "locked")
    assert reason(terminal.run("decide", "--key-id", "unknown", *REQUEST, "--json")) == (1, "unknown_key")


def test_nothing_is_recorded_or_changed(terminal: Terminal) -> None:
    """A trial leaves no trace: no decision, no change."""
    key_id = terminal.house.key().api_key.id
    head = terminal.house.store.head()
    answer = terminal.run("decide", "--key-id", key_id, *REQUEST, *ACME, "--json").json
    assert answer["decision_id"] is None
    assert terminal.house.store.head() == head
    assert terminal.house.sink.decided == []


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("{key}\n", "allowed"),
        ("{key}x\n", "malformed_key"),
        ("\n", "missing_credentials"),
        ("\x00\xff", "malformed_key"),
    ],
)
def test_a_key_comes_by_standard_input(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, typed: str, expected: str
) -> None:
    """Never as an argument; whatever comes is judged as a presented key is."""
    text = typed.format(key=terminal.house.key().text)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode("latin-1"))))
    printed = terminal.run("decide", *REQUEST, *ACME, "--json")
    assert printed.json["reason"] == expected
    assert text.strip() not in printed.out or not text.strip()


def test_unpublished_rule_files_decide_instead(terminal: Terminal, folder: Path) -> None:
    """With claims of the types that those files declare; the store's own policy stays."""
    key_id = terminal.house.key().api_key.id
    head = terminal.house.store.head()
    base = ("decide", "--key-id", key_id, *REQUEST, *ACME, "--policies", folder, "--json")
    assert reason(terminal.run(*base)) == (0, "allowed")
    assert reason(terminal.run(*base, "--attr", "env=prod")) == (1, "production")
    assert reason(terminal.run(*base, "--attr", "size=10")) == (1, "too_large")
    assert reason(terminal.run(*base, "--attr", "size=10", "--now", "2031-01-01T00:00:00Z")) == (0, "allowed")
    assert reason(terminal.run(*base, "--context", "day=friday")) == (1, "friday")
    wrong = terminal.run(*base, "--attr", "size=large")
    assert wrong.code == 2
    assert "`--attr size=large` must be a whole number" in wrong.err
    assert terminal.run(*base).json["revision"] == head
    assert terminal.house.store.head() == head


def test_a_claim_that_cannot_count_is_told(terminal: Terminal, folder: Path) -> None:
    """A mistyped attribute would otherwise look like a rule that does not work."""
    key_id = terminal.house.key().api_key.id
    printed = terminal.run("decide", "--key-id", key_id, *REQUEST, *ACME, "--policies", folder, "--attr", "evn=prod")
    assert printed.code == 0
    assert "did you mean `env`?" in printed.err


def test_mistakes_in_the_rule_files_are_shown(terminal: Terminal, folder: Path) -> None:
    """As `policy check` shows them; nothing is decided."""
    (folder / "chain.yaml").write_text("chain: 7\n")
    printed = terminal.run("decide", "--key-id", "x", *REQUEST, "--policies", folder)
    assert (printed.code, printed.out) == (1, "")
    assert "chain.yaml:1:8:" in printed.err


def test_every_check_is_explained(terminal: Terminal) -> None:
    """In chain order, as a table and as JSON."""
    key_id = terminal.house.key(scopes=("pipelines:read",)).api_key.id
    printed = terminal.run("decide", "--key-id", key_id, *REQUEST, *ACME, "--explain")
    assert printed.code == 1
    assert "insufficient_scope" in printed.out
    assert "FAILED" in printed.out
    checks = terminal.run("decide", "--key-id", key_id, *REQUEST, *ACME, "--explain", "--json").json["checks"]
    assert [check["check"] for check in checks][:4] == ["credential", "revocation", "workspace", "scope"]
    assert "checks" not in terminal.run("decide", "--key-id", key_id, *REQUEST, *ACME, "--json").json


def test_a_forgotten_workspace_claim_is_pointed_out(terminal: Terminal) -> None:
    """The most likely slip of somebody who tries a rule on a resource that is not registered."""
    key_id = terminal.house.key().api_key.id
    printed = terminal.run("decide", "--key-id", key_id, *REQUEST)
    assert "unknown_resource" in printed.out
    assert "--workspace" in printed.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--scope", "pipelines:run", "--resource", "etl"), "must be type:id"),
        ((*REQUEST, "--now", "tomorrow"), "must be an instant"),
        ((*REQUEST, "--attr", "env"), "must be name=value"),
    ],
)
def test_a_wrong_option_is_one_line(terminal: Terminal, arguments: tuple[str, ...], told: str) -> None:
    """Exit code 2, and what would be right."""
    printed = terminal.run("decide", "--key-id", "x", *arguments)
    assert printed.code == 2
    assert told in printed.err


def test_without_a_policy_there_is_no_decision(bare_terminal: Terminal) -> None:
    """Neither allow nor deny: the remedy."""
    printed = bare_terminal.run("decide", "--key-id", "x", *REQUEST)
    assert printed.code == 2
    assert "[no_policy]" in printed.err
