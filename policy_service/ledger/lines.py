"""The parts of a record as its line has them: members in the order of the line, so that writing one sorts nothing.

Making and writing a line from these takes half of the time that a DecisionRecord takes, and each decision waits for
its line. Members are given by position, in alphabetical order; what is None is left out. A member that is written
already, in canonical form, is given as `msgspec.Raw` and copied.

INVARIANT: the line is the one that `encode_record` writes for the same record (test_recording: lines made of parts).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from policy_service.ledger import record
from policy_service.ledger.record import Part


def _in_line_order(part: type[Part], without: Collection[str] = ()) -> type[msgspec.Struct]:
    """The same part, as a struct whose members are sorted."""
    members = [(name, Any, None) for name in sorted(part.__struct_fields__) if name not in without]
    # Nothing in it refers back to it: the garbage collector need not look.
    return msgspec.defstruct(f"Line{part.__name__}", members, omit_defaults=True, gc=False)


_Shared: Final = msgspec.defstruct("LineShared", ["bundle", "caller", "chain"])
_TOGETHER: Final = ("caller", "chain")
"""Members that stand behind `bundle` and are given with it: see `write_shared`."""

LineRecord: Final = _in_line_order(record.DecisionRecord, without=_TOGETHER)
LineCaller: Final = _in_line_order(record.RecordedCaller)
LinePrincipal: Final = _in_line_order(record.RecordedPrincipal)
LineRequest: Final = _in_line_order(record.RecordedRequest)
LineCredential: Final = _in_line_order(record.RecordedCredential)
LineResource: Final = _in_line_order(record.RecordedResource)

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
"""Sorts the members of dicts, and leaves those of structs in their order."""


write_part: Final[Callable[[msgspec.Struct], bytes]] = _ENCODER.encode
"""The bytes of a line or one of its parts, without line feed. Values that people made up must be `is_plain`, or Raw.

Raises:
    UnicodeEncodeError: half of a surrogate pair stands in it.
"""


def write_shared(bundle: str, caller: msgspec.Struct, chain: str) -> bytes:
    """The value of `bundle` with the members behind it, which hundreds of lines share: copied in one piece.

    Args:
        caller: a LineCaller.
    """
    written = write_part(_Shared(bundle, caller, chain))
    return written.removeprefix(b'{"bundle":').removesuffix(b"}")
