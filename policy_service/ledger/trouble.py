"""What the system says when a ledger cannot be written or read, as StoreErrors with stable codes.

Messages of a running service name no path: strangers may be shown them. The log has the rest.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from policy_service.model.errors import StoreError

FULL: Final = "ledger_full"
UNAVAILABLE: Final = "ledger_unavailable"
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def trouble(error: OSError) -> StoreError:
    """The StoreError of a write that failed."""
    if error.errno in _NO_SPACE:
        return StoreError(
            FULL, "there is no space left for decision records; free some: decisions are answered again by themselves"
        )
    reason = (error.strerror or "input or output failed").lower()
    return StoreError(UNAVAILABLE, f"decision records cannot be written: {reason}; mend the ledger's folder")


@contextmanager
def as_trouble() -> Iterator[None]:
    """What the system refuses within is a StoreError."""
    try:
        yield
    except OSError as error:
        raise trouble(error) from error
