"""Decision records, segments, Merkle tree, checkpoints (to come)."""
