"""A policy decision service for API keys: `decide(request, snapshot, now)`, compiled, explained, re-derivable."""
