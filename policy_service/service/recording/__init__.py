"""This process's shard of the ledger: records written before their answers, sealed, signed, kept."""
