"""What good test files come to: layers of facts, combinations, expectations."""

from __future__ import annotations

from policy_service.language.load import load_policy
from policy_service.language.suite.load import load_suite
from policy_service.language.suite.suite import SuiteTest
from policy_service.model.facts import ApiKey, IpAllowlist, Membership, Resource, RoleBinding, Team, User
from policy_service.model.request import MISSING, Credential
from tests.unit.language.folders import shipped

SHARED = """
now: "2026-11-24T09:00:00Z"
facts:
  users: {ada: {roles: viewer}, bob: {}}
  resources: {"pipeline:a": {owner: ada}}
  keys: {k: {user: ada, scopes: [pipelines:run, pipelines:read], cidrs: 10.0.0.0/8, labels: {env: "1"}}}
  allowlists: {office: [203.0.113.0/24]}
"""
TEST = """
tests:
  - name: one
    keys: k
    scopes: [pipelines:run, pipelines:read]
    resources: pipeline:a
    expect: []
"""


def loaded(**files: str) -> tuple[SuiteTest, ...]:
    """The tests of good files."""
    suite = load_suite({f"tests/{name}.yaml": text for name, text in files.items()}, load_policy(shipped()))
    assert suite.diagnostics == ()
    return suite.tests


def test_a_test_stands_on_the_shared_facts() -> None:
    """A key is a fact with its name as its id, issued in 1970 unless it says otherwise."""
    [test] = loaded(facts=SHARED, one=TEST)
    [key] = [fact for fact in test.facts if isinstance(fact, ApiKey)]
    assert (key.id, key.principal_id, key.scopes) == ("k", "ada", ("pipelines:read", "pipelines:run"))
    assert (key.created_at, key.cidrs, key.labels) == (0, ("10.0.0.0/8",), {"env": "1"})
    assert [fact.role for fact in test.facts if isinstance(fact, RoleBinding)] == ["viewer"]
    assert (test.id, test.now) == ("tests/one.yaml: one", 1_795_510_800_000_000_000)


def test_inner_facts_take_the_place_of_outer_ones_by_name() -> None:
    """Whole: a user who is declared again has only the roles that are said there."""
    own = (
        '    facts: {users: {ada: {suspended: true}}, resources: {"pipeline:a": {}}}\n    now: "2030-01-01T00:00:00Z"\n'
    )
    [test] = loaded(facts=SHARED, one=TEST + own)
    users = {fact.id: fact.suspended for fact in test.facts if isinstance(fact, User)}
    assert users == {"ada": True, "bob": False}
    assert [fact for fact in test.facts if isinstance(fact, RoleBinding)] == []
    assert [fact.owner for fact in test.facts if isinstance(fact, Resource)] == [None]
    assert test.now == 1_893_456_000_000_000_000


def test_teams_bring_their_members_and_roles() -> None:
    """Roles over the workspace, and over one resource."""
    own = '    facts: {teams: {t: {members: [ada, bob], roles_on: {"pipeline:a": [operator]}}, u: {parent: t}}}\n'
    [test] = loaded(facts=SHARED, one=TEST + own)
    assert {fact.user for fact in test.facts if isinstance(fact, Membership)} == {"ada", "bob"}
    [binding] = [fact for fact in test.facts if isinstance(fact, RoleBinding) and fact.team]
    assert (binding.team, binding.role, binding.resource_type, binding.resource_id) == (
        "t",
        "operator",
        "pipeline",
        "a",
    )
    assert {fact.id: fact.parent for fact in test.facts if isinstance(fact, Team)} == {"t": None, "u": "t"}


def test_every_combination_is_one_case_and_unlisted_ones_must_be_denied() -> None:
    """In the order of the lists; the last list turns fastest."""
    text = TEST.replace(
        "expect: []", 'addresses: [none, "::1"]\n    expect: [{decision: allow, scopes: pipelines:read}]'
    )
    [test] = loaded(facts=SHARED, one=text)
    assert [case.label for case in test.cases] == [
        "k · pipelines:run · pipeline:a",
        "k · pipelines:run · pipeline:a · ::1",
        "k · pipelines:read · pipeline:a",
        "k · pipelines:read · pipeline:a · ::1",
    ]
    assert [(case.expected.decision, case.expected.is_listed) for case in test.cases] == [
        ("deny", False), ("deny", False), ("allow", True), ("allow", True),
    ]  # fmt: skip
    assert test.cases[0].request.source_ip is None
    assert test.cases[2].place.line == 8


def test_a_principal_asks_with_a_key_that_has_every_scope() -> None:
    """What somebody could do at most."""
    [test] = loaded(facts=SHARED, one=TEST.replace("keys: k", "principals: ada"))
    [key] = [fact for fact in test.facts if isinstance(fact, ApiKey) and fact.id != "k"]
    assert set(key.scopes) == set(load_policy(shipped()).scopes)
    assert test.cases[0].request.credential == Credential("verified", key.id, 1)


def test_a_credential_can_be_none() -> None:
    """What was checked before the decision is an input of it."""
    [test] = loaded(facts=SHARED, one=TEST.replace("keys: k", "credentials: missing"))
    assert test.cases[0].request.credential == MISSING


def test_a_claim_is_what_the_caller_tells() -> None:
    """Values as JSON has them: a wrong type is a case worth testing."""
    claims = "{c: {resource: pipeline:new, workspace: demo, attributes: {env: [1, 2.5, true, null, {a: b}]}}}"
    text = TEST.replace(
        "resources: pipeline:a", f"resources: c\n    facts: {{claims: {claims}}}\n    context: {{ticket: x}}"
    )
    [test] = loaded(facts=SHARED, one=text)
    request = test.cases[0].request
    assert (request.resource.id, request.resource.workspace) == ("new", "demo")
    assert request.resource.attributes == {"env": [1, 2.5, True, None, {"a": "b"}]}
    assert request.context == {"ticket": "x"}


def test_a_named_allowlist_is_on_in_every_workspace() -> None:
    """The others are off."""
    own = "    allowlist: office\n    facts: {services: {s: {workspace: acme}}}\n"
    [test] = loaded(facts=SHARED, one=TEST + own)
    lists = [fact for fact in test.facts if isinstance(fact, IpAllowlist)]
    assert [(fact.workspace, fact.enabled, fact.entries[0].cidr) for fact in lists] == [
        ("acme", True, "203.0.113.0/24"), ("demo", True, "203.0.113.0/24"),
    ]  # fmt: skip


def test_too_many_cases_are_refused() -> None:
    """A test of ten thousand combinations is a mistake."""
    addresses = ", ".join(f'"10.0.{n // 256}.{n % 256}"' for n in range(5001))
    text = TEST.replace("expect: []", f"addresses: [{addresses}]\n    expect: []")
    suite = load_suite({"tests/facts.yaml": SHARED, "tests/one.yaml": text}, load_policy(shipped()))
    assert [one.code for one in suite.diagnostics] == ["too-many"]
