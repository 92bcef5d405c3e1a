"""Options that the commands on rule files share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from policy_service.cli.policy.diagnostic_formats import Format

PolicyFolder = Annotated[
    Path | None, typer.Argument(metavar="[DIR]", help="Folder of rule files. [default: policies]", show_default=False)
]
DiagnosticFormat = Annotated[
    Format, typer.Option("--format", help="For people; or for a code host to show beside the change.")
]
