"""The HTTP leg: the whole application, in this process, on a real SQLite store; only the clock is ours."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from policy_service.api.app import create_app
from policy_service.language.load import load_policy
from policy_service.model.api_key import format_api_key
from policy_service.model.canonical import canonical_text
from policy_service.model.changes import ChangeDraft
from policy_service.model.facts import ActiveBundle, ApiKey, Bundle, Fact, SecretSlot, ServicePrincipal, Workspace
from policy_service.service.administration import Administration
from policy_service.service.auditing.decision_log import DecisionLog
from policy_service.service.deciding.credentials import Credentials
from policy_service.service.deciding.decisions import Decisions
from policy_service.service.deciding.gate import Gate
from policy_service.service.deciding.key_uses import KeyUses
from policy_service.service.effects import put
from policy_service.service.following.follower import Follower
from policy_service.service.following.replica import Replica
from policy_service.service.peppers import Peppers
from policy_service.service.policies.bundles import Bundles
from policy_service.service.services import Services
from policy_service.store.migrate import migrate
from policy_service.store.store import Store
from tests.conformance.reading import Asked, ConformanceCase
from tests.fakes import CountingIds, FakeClock, RecordingSink
from tests.oracle.oracle import Verdict

PEPPERS = Peppers("p1", {"p1": b"1" * 32})
CALLER = ApiKey(
    id="callerKey000",
    workspace="system",
    principal_kind="service",
    principal_id="caller",
    scopes=("decisions:evaluate", "decisions:explain"),
    slots=(SecretSlot(number=1, pepper_id="p1", created_at=0),),
    created_at=0,
)
OPERATOR: list[Fact] = [Workspace(id="system"), ServicePrincipal(workspace="system", id="caller"), CALLER]
"""What every store has besides the case's facts: somebody who may ask."""


def key_text(key_id: str, slot: int) -> str:
    """The key that holds a secret: of each slot another."""
    return format_api_key("psx", key_id, f"secretOfSlot{slot:010d}")


class House:
    """One running service with the policy and facts of a case."""

    def __init__(self, runner: asyncio.Runner, client: httpx.AsyncClient, clock: FakeClock) -> None:
        self._runner = runner
        self._client = client
        self._clock = clock

    def decide(self, asked: Asked) -> Verdict:
        """What `POST /decide` says."""
        return verdict_of(self._post("/decide", body_of(asked), asked.now))

    def explain(self, asked: Asked) -> tuple[Verdict, list[Any]]:
        """What `POST /decide?explain=true` says, and its checks."""
        document = self._post("/decide?explain=true", body_of(asked), asked.now)
        return verdict_of(document), document["checks"]

    def decide_batch(self, several: list[Asked]) -> list[Verdict]:
        """What `POST /decide/batch` says; all at the instant of the first."""
        document = self._post("/decide/batch", {"requests": [body_of(asked) for asked in several]}, several[0].now)
        return [verdict_of(result) for result in document["results"]]

    def _post(self, path: str, body: Mapping[str, Any], now: int) -> Any:
        self._clock.time = now
        headers = {"Authorization": f"Bearer {key_text(CALLER.id, 1)}"}
        answer = self._runner.run(self._client.post(path, json=body, headers=headers))
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def house_of(case: ConformanceCase, folder: Path) -> Iterator[House]:
    """The service over a fresh SQLite store in `folder`, which holds the case's facts as one change."""
    os.chmod(folder, 0o700)
    url = f"sqlite:///{folder / 'policy.db'}"
    migrate(url)
    store = Store.open(url)
    try:
        furnish(store, case)
        clock = FakeClock()
        services = services_on(store, clock)
        transport = httpx.ASGITransport(app=create_app(services), client=("192.0.2.7", 40000))
        with asyncio.Runner() as runner:
            runner.run(services.follower.catch_up())
            client = httpx.AsyncClient(transport=transport, base_url="http://test")
            yield House(runner, client, clock)
            runner.run(client.aclose())
    finally:
        store.close()


def furnish(store: Store, case: ConformanceCase) -> None:
    """The bundle, the facts and the verifiers of all their secrets."""
    digest = load_policy(case.files).digest
    content = store.put_bundle(digest, case.files)
    there = {(fact.entity, fact.key()) for fact in case.facts}
    operator = [fact for fact in OPERATOR if (fact.entity, fact.key()) not in there]
    facts = [*case.facts, *operator, Bundle(digest=digest, content_sha256=content), ActiveBundle(digest=digest)]
    keys = [fact for fact in facts if isinstance(fact, ApiKey)]
    verifiers = {
        key.id: {str(slot.number): PEPPERS.verifier("p1", key_text(key.id, slot.number)).hex() for slot in key.slots}
        for key in keys
    }
    draft = ChangeDraft(
        action="test.put",
        workspace=None,
        subject="test",
        effects=tuple(put(fact) for fact in facts),
        sealed=canonical_text({"verifiers": verifiers}),
    )
    store.commit(lambda _: draft, actor="local:0", now=0)


def services_on(store: Store, clock: FakeClock) -> Services:
    """The use cases, as bootstrap builds them, on our clock."""
    ids = CountingIds()
    bundles = Bundles(store, clock)
    replica = Replica(store, bundles)
    credentials = Credentials(PEPPERS)
    return Services(
        store=store,
        clock=clock,
        bundles=bundles,
        replica=replica,
        follower=Follower(replica, store),
        credentials=credentials,
        gate=Gate(credentials, replica, clock),
        decisions=Decisions(replica, credentials, clock, ids, RecordingSink()),
        administration=Administration(store, clock, ids, PEPPERS, bundles),
        decision_log=DecisionLog(Path("nowhere"), store),
        uses=KeyUses(store),
        peppers=PEPPERS,
    )


def body_of(asked: Asked) -> dict[str, Any]:
    """The JSON body that asks what a case asks."""
    request, resource = asked.request, asked.request.resource
    claims = {"type": resource.type, "id": resource.id, "workspace": resource.workspace, "owner": resource.owner}
    body: dict[str, Any] = {
        "key": presented(asked),
        "scope": request.scope,
        "resource": {name: value for name, value in claims.items() if value is not None},
        "context": request.context,
    }
    if resource.attributes:
        body["resource"]["attributes"] = resource.attributes
    if request.source_ip is not None:
        body["source_ip"] = request.source_ip
    if body["key"] is None:
        del body["key"]
    return body


def presented(asked: Asked) -> str | None:
    """The key text with which checking has the case's outcome."""
    credential = asked.request.credential
    if credential.outcome == "missing":
        return None
    if credential.outcome == "malformed":
        return "psx_not-a-key"
    if credential.key_id is None:
        return key_text("nobodysKey00", 1)
    return key_text(credential.key_id, credential.slot or 0)


def verdict_of(document: Mapping[str, Any]) -> Verdict:
    return Verdict(
        document["decision"] == "allow",
        document["reason"],
        document["check"],
        document["rule"],
        document["http_status"],
    )
