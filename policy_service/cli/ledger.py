"""`ledger`: the log of decisions; each command stands in a file of its own, `ledger_<verb>.py`."""

from __future__ import annotations

from policy_service.cli import ledger_keys, ledger_schema
from policy_service.cli.nouns import noun

app = noun("The ledger, in which every decision is recorded: verify, query, replay, prove.")

ledger_keys.register(app)
ledger_schema.register(app)
