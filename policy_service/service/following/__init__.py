"""This process's copy of the facts, and how it keeps up with the store."""
