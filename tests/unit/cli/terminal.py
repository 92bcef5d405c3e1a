"""The command line over a house with fakes where the outside world is, and what it printed."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from policy_service.api.app import create_app
from policy_service.api.wire import bounded_protocol
from policy_service.bootstrap import explained_document
from policy_service.cli.main import run
from policy_service.cli.shared.environment import Environment
from policy_service.cli.shared.screen import Screen
from policy_service.service.services import Services
from policy_service.service.setup import Initialized
from policy_service.settings import Settings
from tests.unit.api.desk import services_of
from tests.unit.service.house import OPERATOR, RULE_FILES, House


class Printed(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer for a program."""
        return json.loads(self.out)


class Terminal:
    """Runs commands against one furnished house."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.services = services_of(house)
        self.environment = Environment(
            now=house.clock.now,
            local_caller=OPERATOR,
            initialize=self._initialize,
            fresh_demo_keys=lambda _settings: house.setup.issue_demo_keys(OPERATOR),
            services=self._opened,
            serving=lambda settings, _member, _make: self._opened(settings),
            import_all=lambda: None,
            facts=lambda _settings: contextlib.nullcontext(house.store),
            ledger=lambda _settings, _services: contextlib.nullcontext(),
            local_app=lambda services: create_app(services, local_actor=OPERATOR.actor),
            public_app=lambda services, _settings: create_app(services),
            protocol=lambda _app, settings: bounded_protocol(settings.read_timeout_s),
            decision_document=explained_document,
        )

    def run(self, *arguments: str | Path) -> Printed:
        """One command line."""
        out, err = io.StringIO(), io.StringIO()
        code = run([str(argument) for argument in arguments], self.environment, Screen(out, err))
        return Printed(code, out.getvalue(), err.getvalue())

    def with_environment(self, **changes: Any) -> Terminal:
        """The same with other adapters."""
        other = Terminal(self.house)
        other.environment = msgspec.structs.replace(self.environment, **changes)
        return other

    @contextlib.contextmanager
    def _opened(self, _settings: Settings) -> Iterator[Services]:
        self.house.replica.catch_up()
        yield self.services

    def _initialize(self, _settings: Settings, demo: bool, _policies: Path | None) -> Initialized:
        return self.house.setup.initialize(OPERATOR, RULE_FILES, demo=demo)
