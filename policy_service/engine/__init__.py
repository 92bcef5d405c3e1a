"""`decide(request, snapshot, now)`: the snapshot, the compiler, the decision and its explanation. Pure."""
