"""The nouns: requests, facts, decisions, reasons, addresses, spans and diagnostics. Frozen; they know nobody."""
