"""The solver, when a command needs it: an extra that not everybody has, and too slow to import for the rest."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from policy_service.model.errors import UsageError

INSTALL: Final = "install it with `pip install policy-service[prove]`"


def has_solver() -> bool:
    """Whether it is installed."""
    return find_spec("z3") is not None


def require_solver() -> None:
    """Raise UsageError `no_solver` where it is not installed."""
    if not has_solver():
        raise UsageError("no_solver", f"proofs need the Z3 solver; {INSTALL}")
