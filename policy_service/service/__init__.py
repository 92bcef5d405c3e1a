"""Use cases: what callers, authors, administrators and auditors do. Knows the clock only as a port."""
