"""Readers of a policy that answer questions about it: coverage, proof, comparison (to come)."""
