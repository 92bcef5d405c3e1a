"""Which folder of rule files is meant."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from policy_service.service.policies.policy_folder import shipped_folder

DEFAULT_FOLDER: Final = Path("policies")


def chosen_folder(given: Path | None) -> Path:
    """The folder named, else `policies` here, else the shipped one."""
    if given is not None:
        return given
    return DEFAULT_FOLDER if DEFAULT_FOLDER.is_dir() else shipped_folder()
