"""`ledger`: the log of decisions; each command stands in a file of its own, named after its verb."""

from __future__ import annotations

from policy_service.cli.ledger import (
    checkpoint,
    export,
    keys,
    pack,
    prove,
    query,
    replay,
    schema,
    tail,
    verify,
)
from policy_service.cli.shared.nouns import noun

app = noun("The ledger, in which every decision is recorded: verify, query, replay, prove.")

verify.register(app)
query.register(app)
tail.register(app)
prove.register(app)
checkpoint.register(app)
keys.register(app)
export.register(app)
pack.register(app)
replay.register(app)
schema.register(app)
