"""`decide`, and what it shares with every command that takes a request apart or tells of a decision."""
