"""Foresee: what other rules or facts would have changed, counted, grouped and explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_service.language.load import load_policy
from policy_service.model.errors import StoreError, UsageError
from policy_service.service.auditing.foresee import FlipGroup, FlipKind, Foreseen, Scenario, foresee
from policy_service.service.auditing.hypotheses import without_key, without_member
from policy_service.service.auditing.least_privilege import closure, least_privilege, new_key_body, smallest
from policy_service.service.auditing.replay import ReplayOptions
from tests.unit.service.auditing.test_replay import changed
from tests.unit.service.house import OPERATOR, OTHER_FILES, RULE_FILES
from tests.unit.service.recorded import Recorded

STRICT = {
    **RULE_FILES,
    "resources/pipeline.yaml": """\
resource: pipeline
unregistered: allow
default: allow
rules:
  - {name: no-etl, effect: deny, resources: [etl], reason: frozen}
  - {name: still-locked, effect: deny, resources: ["locked-*"], reason: locked}
""",
}


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    """A service key and a user key, allowed by scope and by a team's role, and locked out of one pipeline."""
    past = Recorded(tmp_path)
    admin = past.house.admin
    service = past.house.key()
    user = past.house.key(kind="user", principal="ada")
    admin.put_team(OPERATOR, "acme", "crew")
    admin.add_member(OPERATOR, "acme", "crew", "ada")
    admin.create_binding(OPERATOR, "acme", "operator", team="crew")
    past.ask(service.text, user.text)
    past.ask(service.text, resource="pipeline:locked-1")
    past.ask(user.text, None, scope="pipelines:read")
    return past


def foreseen(recorded: Recorded, **scenario: object) -> Foreseen:
    return foresee(recorded.archive(), recorded.written(), Scenario(**scenario))  # type: ignore[arg-type]  # of its fields


def flips(**counts: int) -> dict[str, int]:
    return {name: counts.get(name.replace("-", "_"), 0) for name in ("allow-to-deny", "deny-to-allow", "reason-only")}


def test_the_rules_of_the_time_change_nothing(recorded: Recorded) -> None:
    found = foreseen(recorded, policy=load_policy(RULE_FILES))

    assert (found.records, found.compared, found.flips) == (5, 5, flips())


def test_new_rules_flip_by_rule_principal_and_type(recorded: Recorded) -> None:
    found = foreseen(recorded, policy=load_policy(STRICT))

    assert found.flips == flips(allow_to_deny=3, reason_only=1)
    assert found.groups[0] == FlipGroup(
        kind=FlipKind("allow-to-deny", "no-etl", "acme", "user:ada", "pipeline"),
        count=2,
        scopes=("pipelines:read", "pipelines:run"),
    )


def test_what_was_denied_and_would_be_allowed_names_the_rule_that_denied(recorded: Recorded) -> None:
    found = foreseen(recorded, policy=load_policy(OTHER_FILES))

    assert found.flips == flips(deny_to_allow=1)
    assert found.groups[0].kind.rule == "no-locked-ones"


def test_an_example_is_explained_as_it_was_and_as_it_would_have_been(recorded: Recorded) -> None:
    example = foreseen(recorded, policy=load_policy(STRICT)).examples[0]

    assert example.was is not None
    assert example.would_be is not None
    assert (example.was.decision.reason, example.would_be.decision.reason) == ("allowed", "frozen")
    assert example.was.decision.bundle != example.would_be.decision.bundle
    assert example.record.reason == "allowed"


def test_without_a_key_whoever_used_it_loses(recorded: Recorded) -> None:
    key_id = recorded.house.sink.decided[0].decision.key_id

    found = foreseen(recorded, edits=(without_key(key_id),))

    assert found.flips == flips(allow_to_deny=1, reason_only=1)
    assert {group.kind.principal for group in found.groups} == {"service:ci"}


@pytest.mark.parametrize(("workspace", "lost"), [(None, 2), ("acme", 2), ("zeta", 0)])
def test_without_a_membership_its_user_loses(recorded: Recorded, workspace: str | None, lost: int) -> None:
    found = foreseen(recorded, edits=(without_member("crew", "ada", workspace),))

    assert found.flips == flips(allow_to_deny=lost)


def test_old_requests_meet_the_facts_of_today(recorded: Recorded) -> None:
    recorded.house.admin.remove_member(OPERATOR, "acme", "crew", "ada")

    assert foreseen(recorded, facts_now=True).flips == flips(allow_to_deny=2)
    assert foreseen(recorded).flips == flips()


def test_facts_that_cannot_be_had_today_are_an_error(recorded: Recorded) -> None:
    recorded.house.store.texts.clear()

    with pytest.raises(StoreError, match="bundle"):
        foreseen(recorded, facts_now=True)


def test_what_cannot_be_compared_is_told(recorded: Recorded) -> None:
    lines = recorded.lines()
    lines[0] = changed(lines[0], semantics=9)
    lines[1] = changed(lines[1], chain="0" * 64)
    lines[2] = changed(lines[2], revision=10_000)
    lines[3] = b"{}"

    found = foresee(recorded.archive(), recorded.written(lines), Scenario(policy=load_policy(STRICT)))

    assert found.left_out == {"facts_differ": 1, "facts_missing": 1, "malformed_line": 1, "other_semantics": 1}
    assert found.compared == 1


def test_examples_are_bounded(recorded: Recorded) -> None:
    found = foresee(
        recorded.archive(), recorded.written(), Scenario(policy=load_policy(STRICT)), ReplayOptions(shown=1)
    )

    assert len(found.examples) == 1
    assert len(found.groups) == 3


def test_the_least_that_a_key_needs_is_proven(recorded: Recorded) -> None:
    """A scope that another used one implies is not needed; one that was never used can go."""
    house = recorded.house
    key = house.key(scopes=("admin:organization", "pipelines:run"), labels={"a": "b"})
    recorded.ask(key.text, scope="pipelines:read")

    found = least_privilege(recorded.archive(), recorded.written(), key.api_key.id)

    assert (found.used, found.needed) == ({"pipelines:read": 1}, ("pipelines:read",))
    assert found.unneeded == ("admin:organization", "pipelines:run")
    assert found.is_proven
    assert new_key_body(found) == {
        "principal": {"kind": "service", "id": "ci"},
        "scopes": ["pipelines:read"],
        "labels": {"a": "b"},
    }


def test_a_used_scope_that_implies_another_stands_for_both(recorded: Recorded) -> None:
    key_id = recorded.house.sink.decided[1].decision.key_id

    found = least_privilege(recorded.archive(), recorded.written(), key_id)

    assert found.used == {"pipelines:read": 1, "pipelines:run": 1}
    assert (found.needed, found.unneeded) == (("pipelines:run",), ())
    assert found.is_proven


def test_a_key_that_was_never_allowed_anything_needs_nothing(recorded: Recorded) -> None:
    key = recorded.house.key()
    recorded.ask(key.text, resource="pipeline:locked-1")

    found = least_privilege(recorded.archive(), recorded.written(), key.api_key.id)

    assert (found.used, found.needed) == ({}, ())


def test_a_key_that_is_not_there_is_a_usage_error(recorded: Recorded) -> None:
    with pytest.raises(UsageError, match="there is no key `nobody`"):
        least_privilege(recorded.archive(), recorded.written(), "nobody")


def test_the_smallest_set_of_scopes_is_no_wider_than_what_was_used() -> None:
    """What another implies is left out; one that was not used is never taken for several."""
    files = {
        **RULE_FILES,
        "scopes.yaml": """\
scopes:
  a:all: {on: [pipeline], implies: [a:read, a:write]}
  a:read: {on: [pipeline], implies: [a:look]}
  a:look: {on: [pipeline]}
  a:write: {on: [pipeline]}
""",
        "roles.yaml": "roles: {}\n",
    }
    scopes = load_policy(files).scopes

    assert smallest(["a:write", "a:read"], scopes) == ("a:read", "a:write")
    assert smallest(["a:read", "a:look"], scopes) == ("a:read",)
    assert smallest(scopes, scopes) == ("a:all",)
    assert closure(["a:read"], scopes) == {"a:look", "a:read"}
