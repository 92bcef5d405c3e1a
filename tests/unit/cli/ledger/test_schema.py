"""`ledger schema`."""

from __future__ import annotations

from policy_service.ledger.codec import json_schema
from tests.unit.cli.terminal import Terminal


def test_the_schema_of_a_line_is_printed(terminal: Terminal) -> None:
    """For whoever reads ledgers with tools of their own."""
    printed = terminal.run("ledger", "schema")
    assert printed.code == 0
    assert printed.json == json_schema()
