"""Setting up a store: the operator's workspace and policy, and on demand a demonstration to play with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from policy_service.language.load import load_policy
from policy_service.language.policy import Policy
from policy_service.model.errors import RequestError, UsageError
from policy_service.model.facts import Workspace
from policy_service.model.names import (
    ADMIN_ORGANIZATION,
    DECISIONS_EVALUATE,
    DECISIONS_EXPLAIN,
    DECISIONS_READ,
    SYSTEM_WORKSPACE,
)
from policy_service.service.administration import Administration, NewKey
from policy_service.service.caller import Caller
from policy_service.service.discreet import Discreet
from policy_service.service.policies.bundles import Bundles
from policy_service.service.ports import FactStore

DEMO: Final = "demo"
OPERATOR: Final = "operator"
GATEWAY: Final = "gateway"
ADMIN: Final = "admin"
CI: Final = "ci"
ADA: Final = "ada"
BORIS: Final = "boris"
DATA_TEAM: Final = "data"
RUNNERS: Final = "pipeline-runners"
_PIPELINES: Final = ("pipelines:read", "pipelines:run")
_RESOURCES: Final[tuple[tuple[str, str, str | None, dict[str, Any]], ...]] = (
    ("pipeline", "etl-nightly", ADA, {"env": "prod"}),
    ("pipeline", "etl-sandbox", BORIS, {"env": "dev"}),
    ("connection", "warehouse", ADA, {}),
)


class Initialized(Discreet, frozen=True, kw_only=True):
    """What setting up came to. Each key is the text to hand to its holder, once; None where none was made.

    Args:
        workspace: `demo`, or `system` without a demonstration.
        created: False when the store was set up already and nothing changed.
    """

    secret_fields: ClassVar[tuple[str, ...]] = ("system_key", "caller_key", "admin_key", "user_key", "service_key")
    workspace: str
    bundle: str
    created: bool
    revision: int
    system_key: str | None = None
    caller_key: str | None = None
    admin_key: str | None = None
    user_key: str | None = None
    service_key: str | None = None


class Setup:
    """Initializes stores. Everything goes through the same use cases as any administrator's change."""

    def __init__(self, store: FactStore, administration: Administration, bundles: Bundles) -> None:
        self._store = store
        self._administration = administration
        self._bundles = bundles

    def initialize(self, caller: Caller, files: Mapping[str, str], *, demo: bool = False) -> Initialized:
        """Make what is missing: workspace `system`, an active policy, the operator's key. Idempotent.

        An active policy is left as it is: `policy activate` changes it. `system_key` is given when the service
        principal `operator` is made, never again.

        Args:
            caller: a local one.
            files: the rule files to publish and activate where none is active.
            demo: also make workspace `demo` with people, resources and keys.

        Raises:
            UsageError: `not_empty`, a demonstration on a store that holds anything; `no_demo_role`, the policy has
                no role that grants what the demonstration shows.
            PolicyErrors: the rule files have mistakes.
        """
        if demo and self._store.head():
            raise UsageError("not_empty", "the store is not empty; a demonstration needs a fresh data directory")
        before = self._store.head()
        bundle = self._active_bundle(caller, files, demo=demo)
        self._ensure_workspace(caller, SYSTEM_WORKSPACE, "The operator's own")
        system_key = self._operator_key(caller)
        keys: dict[str, str] = {}
        if demo:
            self._make_demo(caller, self._bundles.policy(bundle))
            keys = self._demo_keys(caller)
        revision = self._store.head()
        return Initialized(
            workspace=DEMO if demo else SYSTEM_WORKSPACE,
            bundle=bundle,
            created=revision > before,
            revision=revision,
            system_key=system_key,
            **keys,
        )

    def issue_demo_keys(self, caller: Caller) -> Initialized:
        """Fresh keys for the demonstration that is there; the old ones stay valid.

        Raises:
            UsageError: `no_demo`, the store holds no demonstration, or its principals were deleted.
        """
        bundle = self._bundles.active()
        if bundle is None or not self._has_workspace(DEMO):
            raise UsageError("no_demo", "the store holds no workspace `demo`; run `init --demo` on a fresh directory")
        try:
            keys = self._demo_keys(caller)
        except RequestError as error:
            raise UsageError("no_demo", f"the demonstration is no longer whole: {error.message}") from error
        return Initialized(
            workspace=DEMO, bundle=bundle, created=True, revision=self._store.head(), system_key=None, **keys
        )

    def _active_bundle(self, caller: Caller, files: Mapping[str, str], *, demo: bool) -> str:
        active = self._bundles.active()
        if active is not None:
            return active
        # Judged before anything is written: a demonstration that cannot be whole leaves the store empty.
        if demo:
            demo_role(load_policy(files))
        published = self._bundles.publish(caller, files, note="init")
        assert published.fact is not None  # publishing always leaves a bundle
        self._bundles.activate(caller, published.fact.digest, note="init")
        return published.fact.digest

    def _has_workspace(self, workspace: str) -> bool:
        return self._store.read(lambda reader: reader.get(Workspace, (workspace,))) is not None

    def _ensure_workspace(self, caller: Caller, workspace: str, name: str) -> None:
        if not self._has_workspace(workspace):
            self._administration.create_workspace(caller, workspace, name=name)

    def _operator_key(self, caller: Caller) -> str | None:
        made = self._administration.put_service_principal(
            caller, SYSTEM_WORKSPACE, OPERATOR, name="The operator of this service"
        )
        if not made.created:
            return None
        scopes = (ADMIN_ORGANIZATION, DECISIONS_EVALUATE, DECISIONS_EXPLAIN, DECISIONS_READ)
        return self._service_key(caller, SYSTEM_WORKSPACE, OPERATOR, scopes)

    def _make_demo(self, caller: Caller, policy: Policy) -> None:
        """Workspace, teams (one inside the other), people, programs, resources. Its allowlist stays off."""
        administration = self._administration
        administration.put_service_principal(caller, SYSTEM_WORKSPACE, GATEWAY, name="The demo gateway, a caller")
        self._ensure_workspace(caller, DEMO, "Demonstration")
        administration.put_team(caller, DEMO, DATA_TEAM, name="Data")
        administration.put_team(caller, DEMO, RUNNERS, name="Pipeline runners", parent=DATA_TEAM)
        administration.put_user(caller, DEMO, ADA, name="Ada, who runs pipelines")
        administration.put_user(caller, DEMO, BORIS, name="Boris, who is in no team")
        administration.add_member(caller, DEMO, RUNNERS, ADA)
        administration.create_binding(caller, DEMO, demo_role(policy), team=RUNNERS)
        administration.put_service_principal(caller, DEMO, CI, name="Continuous integration")
        administration.put_service_principal(caller, DEMO, ADMIN, name="Administration of this workspace")
        for kind, name, owner, attributes in _RESOURCES:
            if kind in policy.resources:
                administration.put_resource(caller, DEMO, kind, name, owner=owner, attributes=attributes)

    def _demo_keys(self, caller: Caller) -> dict[str, str]:
        user = NewKey(principal_kind="user", principal_id=ADA, scopes=_PIPELINES, labels={"made-for": "demo"})
        caller_scopes = (DECISIONS_EVALUATE, DECISIONS_EXPLAIN)
        return {
            "caller_key": self._service_key(caller, SYSTEM_WORKSPACE, GATEWAY, caller_scopes),
            "admin_key": self._service_key(caller, DEMO, ADMIN, (ADMIN_ORGANIZATION,)),
            "user_key": self._administration.create_key(caller, DEMO, user).text,
            "service_key": self._service_key(caller, DEMO, CI, _PIPELINES),
        }

    def _service_key(self, caller: Caller, workspace: str, service: str, scopes: tuple[str, ...]) -> str:
        new = NewKey(principal_kind="service", principal_id=service, scopes=scopes, labels={"made-for": "init"})
        return self._administration.create_key(caller, workspace, new).text


def demo_role(policy: Policy) -> str:
    """The role that the demo team gets: the smallest one that grants reading and running pipelines.

    Raises:
        UsageError: `no_demo_role`.
    """
    fitting = [role for role in policy.roles.values() if role.closure.issuperset(_PIPELINES)]
    if not fitting:
        raise UsageError(
            "no_demo_role",
            "the policy has no role that grants `pipelines:read` and `pipelines:run`; run `init` without `--demo`",
        )
    return min(fitting, key=lambda role: (len(role.closure), role.name)).name
