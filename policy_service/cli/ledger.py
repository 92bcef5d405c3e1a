"""`ledger`: the log of decisions; each command stands in a file of its own, `ledger_<verb>.py`."""

from __future__ import annotations

from policy_service.cli import (
    ledger_checkpoint,
    ledger_export,
    ledger_keys,
    ledger_pack,
    ledger_prove,
    ledger_query,
    ledger_replay,
    ledger_schema,
    ledger_tail,
    ledger_verify,
)
from policy_service.cli.nouns import noun

app = noun("The ledger, in which every decision is recorded: verify, query, replay, prove.")

ledger_verify.register(app)
ledger_query.register(app)
ledger_tail.register(app)
ledger_prove.register(app)
ledger_checkpoint.register(app)
ledger_keys.register(app)
ledger_export.register(app)
ledger_pack.register(app)
ledger_replay.register(app)
ledger_schema.register(app)
