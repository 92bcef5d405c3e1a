"""Fixtures of the command line."""

from __future__ import annotations

import pytest

from policy_service.settings import ENV_PREFIX, Settings
from tests.unit.cli.terminal import Terminal
from tests.unit.service.house import House


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests leaks into them."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"{ENV_PREFIX}{name.upper()}", raising=False)


@pytest.fixture
def terminal() -> Terminal:
    """A terminal before a furnished house: an active policy, workspaces `system`, `acme`, `zeta`."""
    return Terminal(House().furnish())


@pytest.fixture
def bare_terminal() -> Terminal:
    """A terminal before an empty house."""
    return Terminal(House())
