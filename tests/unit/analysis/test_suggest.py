"""What closes a gap, what is proved to close none, and what is not known, on policies small enough to see."""

from __future__ import annotations

import pytest

from policy_service.analysis.coverage import cover
from policy_service.analysis.gaps import Suggestions, gaps
from policy_service.analysis.new_tests import Bench
from policy_service.analysis.solving import Budget
from policy_service.analysis.suggest import suggest
from policy_service.engine.link import compile_policy
from policy_service.language.load import load_policy
from policy_service.language.suite.load import load_suite, surroundings
from tests.unit.analysis.policies import CHAIN, files

FILE = "tests/gaps.yaml"
FACTS = """
now: "2026-11-24T09:00:00Z"
facts:
  users: { ada: { roles: operator } }
  services: { ci: {} }
  keys: { ci-key: { service: ci, scopes: [pipelines:run] }, ada-key: { user: ada, scopes: [pipelines:run] } }
  resources: { pipeline:orders: { attributes: { env: prod } } }
"""


def suggested(given: dict[str, str], seconds: float = 20.0) -> Suggestions:
    """What can be said of the gaps that the tests among these files leave."""
    policy = load_policy(given)
    program = compile_policy(policy)
    suite = load_suite(given, policy)
    assert not suite.has_errors(), suite.diagnostics
    missing = gaps(cover(suite.tests, program))
    bench = Bench(program, FILE, surroundings(given, FILE, policy), (), missing)
    return suggest(policy, missing, bench, Budget(seconds))


def one_rule(
    when: str, *, effect: str = "deny", attributes: str = "env: string, level: int", **more: str
) -> dict[str, str]:
    """Rule files with one rule, `r`."""
    text = when.replace("'", "''")
    return files(f"[{{name: r, effect: {effect}, when: '{text}'}}]", attributes=attributes, **more)


def closed(found: Suggestions) -> set[str]:
    return {gap.title for test in found.tests for gap in test.closes}


def impossible(found: Suggestions) -> dict[str, str]:
    return {gap.title: why for gap, why in found.impossible}


def test_every_goal_of_a_rule_is_closed() -> None:
    """Satisfied, not, faulting and deciding; with as few tests as there are ways to come out."""
    found = suggested(one_rule('resource.attr.env == "prod"'))
    assert closed(found) == {"r is satisfied", "r is not satisfied", "r faults", "r decides"}
    assert (len(found.tests), found.impossible, found.undecided) == (3, (), ())


def test_names_of_the_suite_are_used() -> None:
    """Where they are enough, a test has no facts of its own."""
    found = suggested({**one_rule('resource.attr.env == "prod"'), "tests/facts.yaml": FACTS})
    assert found.tests[0].text == (
        "  - name: r is satisfied\n"
        "    keys: ci-key\n"
        "    scopes: pipelines:read\n"
        "    resources: pipeline:orders\n"
        "    expect:\n"
        "      - { decision: deny, reason: resource_denied, rule: r }\n"
    )


def test_what_names_cannot_say_is_said_in_facts() -> None:
    """And no more than that: the key is still a known one."""
    found = suggested({**one_rule('resource.attr.env == "a b: c"'), "tests/facts.yaml": FACTS})
    [test] = [test for test in found.tests if test.closes[0].goal == "satisfied"]
    assert "keys: ci-key" in test.text
    assert '    facts:\n      resources: { pipeline:r1: { attributes: { env: "a b: c" } } }\n' in test.text


def test_the_address_and_the_context_stand_there_where_they_count() -> None:
    """A rule on the address needs one; one on the context needs that."""
    more = {"tests/facts.yaml": FACTS}
    on_address = suggested({**one_rule('request.ip.inCidr("10.0.0.0/8")'), **more}).tests[0].text
    assert "addresses:" in on_address
    assert "context:" not in on_address
    given = one_rule('request.context.ticket == "T-1"', context="context: {ticket: string}")
    on_context = suggested({**given, **more}).tests[0].text
    assert "context: { ticket: T-1 }" in on_context
    assert "addresses:" not in on_context


def test_both_halves_of_deciding_are_closed() -> None:
    """MC/DC takes two requests for each atomic condition."""
    found = suggested(one_rule('principal.kind == "user" && resource.attr.level > 3'))
    wanted = {
        f"r: `{atom}` decides while {half}"
        for atom in ('principal.kind == "user"', "resource.attr.level > 3")
        for half in ("satisfied", "not satisfied")
    }
    assert wanted <= closed(found)


@pytest.mark.parametrize(
    ("when", "title", "why"),
    [
        ('resource.type == "connection"', "r is satisfied", "no request satisfies the rule"),
        ('resource.type == "pipeline"', "r is not satisfied", "every request that reaches the rule satisfies it"),
        ("has(resource.attr.level) && 1 / 0 == 1", "r is satisfied", "no request satisfies the rule"),
        ('has(resource.attr.env) ? resource.attr.env == "a" && resource.attr.env == "b" : false', "r decides", ""),
        (
            'resource.attr.level > 3 && (resource.attr.level > 2 || principal.kind == "user")',
            'r: `principal.kind == "user"` decides while satisfied',
            "the whole comes to the same without it",
        ),
        (
            "resource.attr.level > 3 || resource.attr.level > 5",
            "r: `resource.attr.level > 5` decides while satisfied",
            "the whole comes to the same without it",
        ),
    ],
)
def test_what_no_request_reaches_is_proved(when: str, title: str, why: str) -> None:
    """A condition, or a part of it, that can never come out that way."""
    found = suggested(one_rule(when))
    if title == "r decides":
        # It faults where the environment is of a wrong type, and a deny rule that faults decides.
        assert title in closed(found)
        return
    assert why in impossible(found)[title]
    assert title not in closed(found)


def test_a_dead_rule_is_called_so() -> None:
    """A check before it always denies: nothing of it can ever be seen."""
    check = "{check: condition, name: c, reason: no_c, require: 'resource.type == \"job\"'}"
    chain = CHAIN.replace("{check: resource_policy}", f"{check}, {{check: resource_policy}}")
    found = suggested({**one_rule('resource.attr.env == "prod"'), "chain.yaml": chain})
    assert impossible(found) == {
        **dict.fromkeys(
            ("r is satisfied", "r is not satisfied", "r faults", "r decides"), "no request reaches the rule"
        ),
        "c is satisfied": "no request satisfies the condition",
    }


def test_a_rule_behind_another_never_decides() -> None:
    """By name: the first satisfied deny rule gives the reason. Everything else of it can be seen."""
    rules = "[{name: a, effect: deny}, {name: b, effect: deny, when: 'resource.attr.env == \"prod\"'}]"
    found = suggested(files(rules))
    assert set(impossible(found)) == {"b decides"}
    assert {"b is satisfied", "b is not satisfied", "b faults"} <= closed(found)


def test_a_faulting_deny_rule_gives_way_to_a_satisfied_one() -> None:
    """Whatever its name: so `a` decides only where `b` is not satisfied."""
    rules = "[{name: a, effect: deny, when: '10 / 0 > 1'}, {name: b, effect: deny, when: 'resource.attr.level > 1'}]"
    found = suggested(files(rules, attributes="level: {type: int, default: 0}"))
    assert {"a faults", "a decides", "b decides"} <= closed(found)
    assert {"a is satisfied", "a is not satisfied"} == set(impossible(found))


def test_an_allow_rule_has_to_let_in_alone() -> None:
    """Where another one always is satisfied as well, it never decides."""
    rules = "[{name: a, effect: allow}, {name: b, effect: allow, when: 'principal.kind == \"user\"'}]"
    found = suggested(files(rules, default="deny"))
    assert set(impossible(found)) == {"b decides"}
    assert "a decides" in closed(found)


def test_condition_checks_have_gaps_too() -> None:
    """Their `when` and their `require`, each part of them; what denies is not satisfied."""
    check = (
        "{check: condition, name: office, reason: outside, when: 'has(request.context.ticket) && key.kind == \"user\"',"
        " require: 'request.context.ticket == \"T-1\"'}"
    )
    chain = CHAIN.replace("{check: ip_allowlist}", f"{check}, {{check: ip_allowlist}}")
    found = suggested({**files(context="context: {ticket: string}"), "chain.yaml": chain})
    assert {"office is satisfied", "office is not satisfied", "office faults", "office decides"} <= closed(found)
    assert found.impossible == ()
    assert found.undecided == ()


def test_a_when_that_faults_is_a_fault_of_its_check() -> None:
    """It denies; so there is something to be seen, and a test that sees it."""
    check = "{check: condition, name: c, reason: no_c, when: 'request.context.n > 1', require: 'key.kind == \"user\"'}"
    chain = CHAIN.replace("{check: ip_allowlist}", f"{check}, {{check: ip_allowlist}}")
    found = suggested({**files(context="context: {n: int}"), "chain.yaml": chain})
    assert "c faults" in closed(found)


def test_a_check_before_the_scope_check_meets_scopes_of_other_types() -> None:
    """There a request for a scope that is not on the type can be told apart, and it can be asked for in a test."""
    scopes = "scopes: {pipelines:run: {on: [pipeline]}, jobs:run: {on: [job]}}"
    check = (
        '{check: condition, name: c, reason: no_c, require: \'request.scope != "jobs:run" || resource.type == "job"\'}'
    )
    chain = CHAIN.replace("{check: scope}", f"{check}, {{check: scope}}")
    given = {**files(), "scopes.yaml": scopes, "roles.yaml": "roles: {}", "chain.yaml": chain}
    assert "c is not satisfied" in closed(suggested(given))


def test_what_only_undeclared_scopes_reach_is_undecided() -> None:
    """It is no dead condition, but no test can name such a scope."""
    check = (
        "{check: condition, name: c, reason: no_c, "
        'require: \'request.scope == "pipelines:run" || request.scope == "pipelines:read"\'}'
    )
    chain = CHAIN.replace("{check: scope}", f"{check}, {{check: scope}}")
    found = suggested({**files(), "chain.yaml": chain})
    undecided = {gap.title: why for gap, why in found.undecided}
    assert "a test cannot name one" in undecided["c is not satisfied"]


def test_no_time_is_no_proof() -> None:
    """What the solver did not get to is undecided, and says why."""
    found = suggested(one_rule("resource.attr.level > 3 && resource.attr.level < 4"), seconds=0.000_001)
    assert (found.tests, found.impossible) == ((), ())
    assert {why for _, why in found.undecided} == {"the time of 1e-06 s was not enough"}


def test_a_construct_without_a_formula_is_named() -> None:
    """Where the engine does not take the guess, nothing is claimed."""
    found = suggested(one_rule('string(request.time) == "2026-11-24T09:00:01Z"', attributes="env: string"))
    undecided = {gap.title: why for gap, why in found.undecided}
    assert "has no formula (resources/pipeline.yaml:" in undecided["r is satisfied"]
    assert "r is not satisfied" in closed(found)


def test_gaps_that_are_closed_are_not_closed_again() -> None:
    """The tests there are count."""
    given = {**one_rule('resource.attr.env == "prod"'), "tests/facts.yaml": FACTS}
    given["tests/a.yaml"] = (
        "tests: [{name: a, keys: ci-key, scopes: pipelines:run, resources: 'pipeline:orders', expect: []}]"
    )
    assert closed(suggested(given)) == {"r is not satisfied", "r faults"}
