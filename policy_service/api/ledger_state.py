"""How the ledger is, for operators: red where nothing can be recorded, a warning where that is in sight."""

from __future__ import annotations

from typing import Any, Final

from policy_service.model.errors import StoreError
from policy_service.service.services import Services

OFF_WARNING: Final = "ledger_off"
"""No decision leaves a record: somebody chose so, and everybody who looks is told."""


def ledger_trouble(services: Services) -> StoreError | None:
    """Why nothing can be decided now; None where it can, or where decisions leave no record."""
    recorder, checkpoints = services.recorder, services.checkpoints
    trouble = None if recorder is None else recorder.trouble()
    return trouble or (None if checkpoints is None else checkpoints.trouble())


def ledger_document(services: Services) -> dict[str, Any]:
    """What `/readyz` shows of it."""
    recorder, checkpoints = services.recorder, services.checkpoints
    if recorder is None:
        return {"durability": "off", "warnings": [OFF_WARNING]}
    warnings = [recorder.warning(), None if checkpoints is None else checkpoints.warning()]
    return {"durability": recorder.durability, "warnings": [code for code in warnings if code is not None]}
