"""The solver, when a command needs it: an extra that not everybody has, and too slow to import for the rest."""

from __future__ import annotations

from importlib.util import find_spec

from policy_service.model.errors import UsageError


def require_solver() -> None:
    """Raise UsageError `no_solver` where it is not installed."""
    if find_spec("z3") is None:
        raise UsageError("no_solver", "proofs need the Z3 solver; install it with `pip install policy-service[prove]`")
