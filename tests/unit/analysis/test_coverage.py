"""What counts as covered, on policies small enough to see."""

from __future__ import annotations

from policy_service.analysis.coverage import Coverage, RuleCovered, Tally, cover
from policy_service.analysis.gaps import Gap, excuse, gaps
from policy_service.language.load import load_policy
from policy_service.language.suite.load import load_suite
from policy_service.model.spans import Span
from tests.unit.language.folders import CHAIN, shipped, small, thing
from tests.worlds import program_of

TESTS = """
now: "2026-11-24T09:00:00Z"
facts:
  services: {{ci: {{}}}}
  keys: {{k: {{service: ci, scopes: [things:use, things:see]}}}}
  resources:
    thing:a: {{}}
    thing:b: {{attributes: {{env: prod, n: 1}}}}
    thing:c: {{attributes: {{env: 5}}}}
tests:
  - {{name: all, keys: k, scopes: [{scopes}], resources: [{resources}], expect: []}}
"""


def covered(rules: str, resources: str, *, scopes: str = "things:use", chain: str = CHAIN) -> Coverage:
    """The coverage that requests on some things give."""
    files = small(thing=thing(rules, "{env: string, n: {type: int, default: 0}}"), chain=chain)
    files["tests/a.yaml"] = TESTS.format(resources=resources, scopes=scopes)
    suite = load_suite(files, load_policy(files))
    assert not suite.has_errors(), suite.diagnostics
    return cover(suite.tests, program_of(files))


def only(coverage: Coverage) -> RuleCovered:
    """The one rule there is."""
    [rule] = coverage.rules
    return rule


DENY = "  - {name: r, effect: deny, when: 'has(resource.attr.env) && resource.attr.env == \"prod\"'}"


def test_a_part_is_deciding_where_it_decided_both_ways() -> None:
    """MC/DC: one request is never enough."""
    one = only(covered(DENY, "thing:b"))
    assert [(part.decided_satisfied, part.decided_unsatisfied) for _, part in one.parts()] == [(1, 0), (1, 0)]
    assert one.tally.missing() == ("unsatisfied", "faulted")
    both = only(covered(DENY, "thing:a, thing:b"))
    # Without an environment the first part is false, and true it would give a fault: so it decides. The second faults.
    assert [(part.decided_satisfied, part.decided_unsatisfied) for _, part in both.parts()] == [(1, 1), (1, 0)]


def test_a_fault_is_seen() -> None:
    """Of the rule and of the part that has it; a part that cannot fault is not asked for one."""
    rule = only(covered(DENY, "thing:c"))
    assert (rule.tally.faulted, rule.tally.deciding) == (1, 1)
    assert [("faulted" in part.tally.wanted, part.tally.faulted) for _, part in rule.parts()] == [(False, 0), (True, 1)]


def test_an_allow_rule_decides_where_it_alone_lets_in() -> None:
    """With two of them satisfied, neither does."""
    two = "  - {name: a, effect: allow}\n  - {name: b, effect: allow, when: 'resource.attr.n == 1'}"
    by_name = {rule.name: rule.tally for rule in covered(two, "thing:a, thing:b").rules}
    assert (by_name["a"].satisfied, by_name["a"].deciding) == (2, 1)
    assert (by_name["b"].satisfied, by_name["b"].unsatisfied, by_name["b"].deciding) == (1, 1, 0)


def test_a_rule_counts_only_where_it_applies_and_its_check_is_reached() -> None:
    """A request that fell before it, or that is about something else, says nothing of it."""
    rule = "  - {name: r, effect: deny, scopes: [things:see], when: 'resource.attr.n == 1'}"
    assert only(covered(rule, "thing:b")).tally.satisfied == 0
    assert only(covered(rule, "thing:b", scopes="things:see")).tally.satisfied == 1


def test_a_condition_check_is_covered_like_a_rule() -> None:
    """Its `when` and its `require` have parts of their own; a `require` that was not needed saw nothing."""
    chain = CHAIN + (
        "  - check: condition\n    name: c\n    resource: thing\n    reason: no_c\n"
        "    when: request.scope == 'things:use'\n    require: resource.attr.n == 1 || key.kind == 'user'\n"
    )
    allow = "  - {name: r, effect: allow}"
    check = covered(allow, "thing:a, thing:b", scopes="things:use, things:see", chain=chain).rules[0]
    assert (check.type, check.tally.satisfied, check.tally.unsatisfied, check.tally.deciding) == ("chain", 1, 1, 1)
    seen = {part.text: (part.tally.satisfied, part.tally.unsatisfied) for _, part in check.parts()}
    assert seen["request.scope == 'things:use'"] == (2, 2)
    assert seen["resource.attr.n == 1"] == (1, 1)


def test_roles_count_from_the_first_case_on() -> None:
    """A world that nobody has looked at yet has its roles, too."""
    files = small(thing=thing("  - {name: r, effect: deny, when: '\"chief\" in principal.roles'}"))
    files["roles.yaml"] = "roles: {chief: {scopes: [things:use]}}"
    files["tests/a.yaml"] = (
        'now: "2026-11-24T09:00:00Z"\n'
        "facts: {users: {ada: {roles: chief}}, resources: {'thing:a': {}}}\n"
        "tests: [{name: all, principals: ada, scopes: things:use, resources: 'thing:a', expect: []}]"
    )
    rule = only(cover(load_suite(files, load_policy(files)).tests, program_of(files)))
    assert (rule.tally.satisfied, rule.conditions[0].atoms[0].tally.satisfied) == (1, 1)


def test_gaps_name_what_is_missing() -> None:
    """One for each goal, of the whole rule or of a part, with the half that is missing."""
    found = [(gap.text, gap.goal, gap.half) for gap in gaps(covered(DENY, "thing:a, thing:b"))]
    assert found == [
        (None, "faulted", None),
        ('resource.attr.env == "prod"', "unsatisfied", None),
        ('resource.attr.env == "prod"', "deciding", False),
    ]


def test_the_shipped_suite_covers_the_shipped_policies() -> None:
    """Every goal that makes sense is reached."""
    files = shipped()
    coverage = cover(load_suite(files, load_policy(files)).tests, program_of(files))
    assert gaps(coverage) == ()
    assert coverage.percent() == 100.0


def test_what_is_proved_impossible_is_neither_reached_nor_missed() -> None:
    """Unless a case has reached it all the same: what was seen counts."""
    tally = Tally(("satisfied", "deciding"), satisfied=1)
    rule = RuleCovered("pipeline", "it", "deny", Span("f", 1, 1, 1, 2), tally, ())
    coverage = Coverage((rule,))
    excuse(coverage, [Gap("pipeline", "it", goal, rule.place) for goal in tally.wanted])
    assert (tally.missing(), tally.impossible) == ((), {"deciding"})
    assert (coverage.goals(), coverage.reached(), coverage.impossible(), coverage.percent()) == (1, 1, 1, 100.0)
