"""What Google's checker says, in our authors' words."""

from __future__ import annotations

import re
from typing import Final

from policy_service.language.cel.places import Places
from policy_service.language.cel.schema import Schema

_ERROR: Final = re.compile(r"^(?:INVALID_ARGUMENT: )?ERROR: <input>:(-?\d+):(-?\d+): (.*)", re.MULTILINE)


def report_checker(errors: str, text: str, schema: Schema, places: Places) -> None:
    """Report every error of one failed check."""
    for line, column, message in _ERROR.findall(errors):
        starts = [0, *(match.end() for match in re.finditer("\n", text))]
        places.report("cel-syntax", message.lower(), starts[int(line) - 1] + int(column) - 1)
