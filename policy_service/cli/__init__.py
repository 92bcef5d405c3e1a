"""The `policy-service` command."""
