"""`ledger`: what auditors ask of the decisions that were recorded."""
