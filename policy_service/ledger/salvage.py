"""What can still be read of a compressed file that is damaged: so that the first bad record is named, not its segment.

A flipped byte often leaves a frame that decompresses to something else, and is given away by its checksum alone; the
usual reader then drops the last of what it had. Nothing here is believed: it is compared with the kept hashes.

Source: RFC 8878, section 3.1.1 (the frame's header, and its checksum flag).
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import zstandard

_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_DESCRIPTOR: Final = 4
_HAS_CHECKSUM: Final = 0x04
_CHECKSUM_BYTES: Final = 4
_STEP: Final = 1024
"""Bytes taken at once: what was decompressed before a damaged place comes out first."""


def salvaged(path: Path, start: int) -> bytes:
    """The uncompressed content from an offset on, as far as it comes; its checksum is not looked at.

    Nothing where the file cannot be read, or holds no frame.
    """
    try:
        data = bytearray(path.read_bytes())
    except OSError:
        return b""
    if data.startswith(_MAGIC) and len(data) > _DESCRIPTOR and data[_DESCRIPTOR] & _HAS_CHECKSUM:
        data[_DESCRIPTOR] &= ~_HAS_CHECKSUM
        del data[-_CHECKSUM_BYTES:]
    found, skip = bytearray(), start
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)) as stream:
        while step := _step(stream):
            found += step[skip:]
            skip = max(skip - len(step), 0)
    return bytes(found)


def _step(stream: zstandard.ZstdDecompressionReader) -> bytes:
    try:
        return stream.read(_STEP)
    except zstandard.ZstdError:
        return b""
