"""Rehearsing a policy: the facts as they are, another policy, and nothing committed."""

from __future__ import annotations

from policy_service.engine.decide import decide
from policy_service.language.load import load_policy
from policy_service.model.request import Credential, Request, ResourceRef
from policy_service.service.policies.rehearsal import rehearse_policy
from tests.unit.service.house import OTHER_FILES, RULE_FILES, House


def test_a_policy_that_was_never_published_decides_in_the_rehearsal_alone(house: House) -> None:
    """The facts are those of the store; the store and its active policy stay as they were."""
    issued = house.key()
    head, active = house.store.head(), house.bundles.active()
    policy = load_policy(OTHER_FILES)
    snapshot = rehearse_policy(house.store, house.bundles, policy, house.clock.now())
    request = Request(
        Credential("verified", issued.api_key.id), "pipelines:run", ResourceRef("pipeline", "locked-1", "acme")
    )
    decision = decide(request, snapshot, house.clock.now())
    assert (decision.allowed, decision.bundle) == (True, policy.digest)
    assert (house.store.head(), house.bundles.active()) == (head, active)
    assert house.decide(issued.text, resource="pipeline:locked-1").decision.reason == "locked"


def test_the_active_policy_can_be_rehearsed_too(house: House) -> None:
    """It decides as it does."""
    policy = load_policy(RULE_FILES)
    snapshot = rehearse_policy(house.store, house.bundles, policy, house.clock.now())
    assert snapshot.bundle == house.bundles.active()
