"""Options that many commands share, each spelled and explained once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="Data directory. [default: POLICY_SERVICE_DATA_DIR, or data]"),
]
Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="Ask this server instead; the key comes from POLICY_SERVICE_KEY."),
]
Workspace = Annotated[
    str | None, typer.Option("--workspace", "-w", metavar="ID", help="Workspace, where the key does not settle it.")
]
Port = Annotated[
    int | None, typer.Option("--port", min=0, max=65535, metavar="N", help="[default: POLICY_SERVICE_PORT, or 8000]")
]
Force = Annotated[bool, typer.Option("--force", help="Even if it ends your own access.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Show at most so many.")]
