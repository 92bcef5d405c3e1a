"""What an attribute read may find besides a value: nothing, or a value of the wrong type.

Both fault when read. They differ in `has()`: false only for ABSENT.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Missing(Enum):
    """Singletons, compared with `is`."""

    ABSENT = "absent"
    WRONG = "wrong type"

    def __repr__(self) -> str:
        return self.name


ABSENT: Final = Missing.ABSENT
WRONG: Final = Missing.WRONG
