"""The whole service over one store, built as bootstrap would, with fakes where the outside world is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policy_service.model.facts import ApiKey
from policy_service.model.request import ResourceRef
from policy_service.service.administration import Administration, IssuedKey, NewKey
from policy_service.service.caller import Caller, local_caller
from policy_service.service.deciding.credentials import Credentials
from policy_service.service.deciding.decisions import Answered, Ask, Decisions
from policy_service.service.deciding.gate import Gate
from policy_service.service.deciding.key_uses import KeyUses
from policy_service.service.deciding.shadow import Shadow
from policy_service.service.following.replica import Replica
from policy_service.service.peppers import Peppers
from policy_service.service.policies.bundles import Bundles
from policy_service.service.ports import FactStore
from policy_service.service.recording.recorder import Recorder
from policy_service.service.setup import Setup
from tests.fakes import CountingIds, FakeClock, MemoryStore, RecordingSink

CHAIN = """\
chain:
  - check: credential
  - check: revocation
  - check: workspace
  - check: scope
  - check: rbac
  - check: resource_policy
  - check: ip_allowlist
"""

RULE_FILES = {
    "chain.yaml": CHAIN,
    "scopes.yaml": """\
scopes:
  pipelines:read:
    on: [pipeline]
  pipelines:run:
    on: [pipeline]
    implies: [pipelines:read]
  admin:organization:
    on: [organization]
  keys:own:
    on: []
""",
    "roles.yaml": """\
roles:
  viewer:
    scopes: [pipelines:read]
  operator:
    scopes: [pipelines:run]
    inherits: [viewer]
  keeper:
    scopes: [keys:own]
    inherits: [operator]
  everything:
    scopes: [admin:organization]
    inherits: [operator]
""",
    "resources/pipeline.yaml": """\
resource: pipeline
unregistered: allow
default: allow
rules:
  - name: no-locked-ones
    effect: deny
    resources: ["locked-*"]
    reason: locked
""",
}

OTHER_FILES = {**RULE_FILES, "resources/pipeline.yaml": "resource: pipeline\nunregistered: allow\ndefault: allow\n"}
"""Rule files of another meaning: nothing is locked."""

OPERATOR = local_caller(1000)
TENANT = Caller(actor="key:AAAAAAAAAAAA", workspace="acme", is_operator=False, scope="admin:organization")
"""An administrator of workspace `acme`."""

PEPPERS = {"p1": b"1" * 32}


class House:
    """Every use case, on one store. `furnish` makes it a home: an active policy and two workspaces.

    Args:
        recorder: takes the decisions in place of `sink`.
    """

    def __init__(
        self, store: FactStore | None = None, peppers: Peppers | None = None, recorder: Recorder | None = None
    ) -> None:
        self.store: Any = MemoryStore() if store is None else store
        self.clock = FakeClock()
        self.ids = CountingIds()
        self.sink = RecordingSink()
        self.peppers = peppers or Peppers("p1", PEPPERS)
        self.bundles = Bundles(self.store, self.clock)
        self.uses = KeyUses(self.store)
        self.admin = Administration(self.store, self.clock, self.ids, self.peppers, self.bundles, uses=self.uses)
        self.replica = Replica(self.store, self.bundles)
        self.credentials = Credentials(self.peppers)
        self.gate = Gate(self.credentials, self.replica, self.clock, self.uses)
        self.recorder = recorder
        self.ledger_folder = Path("nowhere")
        self.shadow = Shadow(self.replica, self.bundles, recorder or self.sink)
        self.decisions = Decisions(self.replica, self.credentials, self.clock, self.ids, self.shadow, self.uses)
        self.setup = Setup(self.store, self.admin, self.bundles)

    def furnish(self) -> House:
        published = self.bundles.publish(OPERATOR, RULE_FILES)
        assert published.fact is not None
        self.bundles.activate(OPERATOR, published.fact.digest)
        for workspace in ("system", "acme", "zeta"):
            self.admin.create_workspace(OPERATOR, workspace)
        return self

    def key(self, workspace: str = "acme", kind: str = "service", principal: str = "ci", **more: Any) -> IssuedKey:
        """A key for a principal, which is made when it is missing."""
        if kind == "service":
            self.admin.put_service_principal(OPERATOR, workspace, principal)
        else:
            self.admin.put_user(OPERATOR, workspace, principal)
        scopes = more.pop("scopes", ("pipelines:run",))
        new = NewKey(principal_kind=kind, principal_id=principal, scopes=scopes, **more)  # type: ignore[arg-type]  # of the two kinds
        return self.admin.create_key(OPERATOR, workspace, new)

    def stored_key(self, key_id: str) -> ApiKey:
        found = self.store.read(lambda reader: reader.get(ApiKey, (key_id,)))
        assert found is not None
        return found

    def decide(self, key: str | None, caller: Caller = OPERATOR, **more: Any) -> Answered:
        self.replica.catch_up()
        return self.decisions.decide(caller, ask(key, **more)).value()


def ask(key: str | None, scope: str = "pipelines:run", resource: str = "pipeline:etl", **more: Any) -> Ask:
    """A question; the resource is claimed for workspace `acme`."""
    kind, _, identity = resource.partition(":")
    claimed = ResourceRef(kind, identity, more.pop("workspace", "acme"))
    return Ask(key=key, scope=scope, resource=claimed, **more)
