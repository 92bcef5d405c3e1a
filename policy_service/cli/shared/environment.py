"""What the commands need from outside. `bootstrap` builds it; the commands never import an adapter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec

from policy_service.cli.shared.screen import Screen
from policy_service.model.decision import Explanation
from policy_service.service.caller import Caller
from policy_service.service.following.crew import Member
from policy_service.service.policies.bundles import MakeProgram
from policy_service.service.ports import FactStore
from policy_service.service.services import Services
from policy_service.service.setup import Initialized
from policy_service.settings import Settings

AsgiApp = Callable[..., Any]


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The adapters, as callables.

    Args:
        now: the clock, nanoseconds UTC.
        local_caller: whoever runs this command.
        initialize: makes or completes a data directory: with the demo workspace or not, from a folder of rule files or
            (None) the shipped ones.
        fresh_demo_keys: issues another set of demo keys.
        services: everything behind the API, on a data directory, its snapshot up to date.
        serving: the same for `serve`, which looks after the snapshot file too: for one worker of several, or (None) for
            the only process; with what makes its programs.
        facts: the facts alone, of a data directory that may lack its pepper: for replays and audits.
        ledger: opens this process's shard of the ledger for as long as it decides.
        local_app: the API as an ASGI application for the local caller, without credentials.
        public_app: the API as everybody else meets it.
        protocol: the class that speaks HTTP on each connection of an application that `serve` serves.
        import_all: imports what `serve` needs and opens nothing: what was imported before a fork is shared.
        decision_document: an explained decision as the API shows it, for the scope that was asked for.
    """

    now: Callable[[], int]
    local_caller: Caller
    initialize: Callable[[Settings, bool, Path | None], Initialized]
    fresh_demo_keys: Callable[[Settings], Initialized]
    services: Callable[[Settings], AbstractContextManager[Services]]
    serving: Callable[[Settings, Member | None, MakeProgram], AbstractContextManager[Services]]
    facts: Callable[[Settings], AbstractContextManager[FactStore]]
    ledger: Callable[[Settings, Services], AbstractContextManager[None]]
    local_app: Callable[[Services], AsgiApp]
    public_app: Callable[[Services, Settings], AsgiApp]
    protocol: Callable[[AsgiApp, Settings], type[asyncio.Protocol]]
    import_all: Callable[[], None]
    decision_document: Callable[[Explanation, str], dict[str, Any]]


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What every command finds in its context."""

    environment: Environment
    screen: Screen
