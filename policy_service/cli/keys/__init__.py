"""`keys`: issue, rotate, revoke, look at, import."""
