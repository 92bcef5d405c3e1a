"""The ledger: every decision on disk before it is answered, in an append-only log that shows any alteration.

It knows files and hashes, not the database of facts: `service` brings the two together.
"""
