"""Rules that never decide, and conditions that are always the same: proved, not guessed."""

from __future__ import annotations

import pytest

from policy_service.analysis.rule_proofs import SolverProver
from policy_service.language.load import load_policy
from tests.unit.analysis.policies import CHAIN, files


def said(rules: str, *, default: str = "allow") -> dict[str, str]:
    """Code by rule, as far as the message names it."""
    policy = load_policy(files(rules, default=default, attributes="env: {type: string, default: dev}, level: int"))
    names = {rule.span: rule.name for rule in policy.resources["pipeline"].rules}
    return {names[one.place]: one.code for one in SolverProver().prove(policy).found}


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ('resource.attr.env == "a" && resource.attr.env == "b"', "never-satisfied"),
        ('resource.attr.env == "a" || resource.attr.env != "a"', None),
        ('has(resource.attr.env) || resource.attr.env == "a"', "always-satisfied"),
        ("resource.attr.level > 3 && resource.attr.level < 4", "never-satisfied"),
        ('resource.attr.env.startsWith("x") && size(resource.attr.env) < 1', "never-satisfied"),
        ("10 / 0 > 1", "always-faulting"),
        ('resource.type == "connection"', "never-satisfied"),
    ],
)
def test_conditions_that_are_always_the_same(condition: str, code: str | None) -> None:
    """Whatever the request; what can fault is neither always nor never satisfied."""
    found = said(f"[{{name: it, effect: deny, when: '{condition}'}}]")
    assert found.get("it") == code


def test_a_rule_behind_another_is_shadowed() -> None:
    """By name: the first satisfied deny rule gives the reason, so the second never speaks."""
    rules = "[{name: a, effect: deny}, {name: b, effect: deny, when: 'resource.attr.env == \"prod\"'}]"
    assert said(rules) == {"b": "shadowed-rule"}


def test_an_alternative_that_another_contains_is_shadowed() -> None:
    """Of two allow rules, one of which is satisfied whenever the other is."""
    rules = "[{name: a, effect: allow}, {name: b, effect: allow, resources: [etl-1]}]"
    assert said(rules, default="deny") == {"b": "shadowed-rule"}


def test_rules_that_matter_are_left_alone() -> None:
    """Two rules on different ids."""
    rules = "[{name: a, effect: deny, resources: ['etl-*']}, {name: b, effect: deny, resources: [adhoc]}]"
    assert said(rules) == {}


CHECK = "{{check: condition, name: c, reason: no_c, {fields}}}"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ("require: 'resource.type == \"pipeline\"'", "always-satisfied"),
        ("require: 'principal.kind == \"robot\"'", "never-satisfied"),
        ("when: 'resource.type == \"job\"', require: 'principal.kind == \"user\"'", "never-satisfied"),
        ("require: '1 / 0 == 1'", "always-faulting"),
        ("require: 'principal.kind == \"user\"'", None),
        ("when: 'principal.kind == \"user\"', require: 'request.scope == \"pipelines:read\"'", None),
        ("resource: pipeline, require: 'has(resource.attr.level) && resource.attr.level > 3'", None),
    ],
)
def test_condition_checks_that_are_always_the_same(fields: str, code: str | None) -> None:
    """They are judged as rules are, over all that they are about."""
    chain = CHAIN.replace("{check: ip_allowlist}", f"{CHECK.format(fields=fields)}, {{check: ip_allowlist}}")
    policy = load_policy({**files(attributes="level: int"), "chain.yaml": chain})
    assert [one.code for one in SolverProver().prove(policy).found] == ([code] if code else [])


def test_what_a_check_before_denies_is_unreachable() -> None:
    """Rules behind it, and checks."""
    never = CHECK.format(fields="require: 'principal.kind == \"robot\"'")
    chain = CHAIN.replace("{check: resource_policy}", f"{never}, {{check: resource_policy}}")
    policy = load_policy({**files("[{name: r, effect: deny}]"), "chain.yaml": chain})
    assert {one.code for one in SolverProver().prove(policy).found} == {"never-satisfied", "unreachable-rule"}


def test_a_rule_before_the_scope_check_meets_other_scopes() -> None:
    """So what holds of the scopes on its type alone is not said of it."""
    more = "scopes: {pipelines:run: {on: [pipeline]}, jobs:run: {on: [job]}}"
    rules = "[{name: r, effect: deny, when: 'request.scope == \"pipelines:run\"'}]"
    given = {**files(rules), "scopes.yaml": more, "roles.yaml": "roles: {}"}
    assert [one.code for one in SolverProver().prove(load_policy(given)).found] == ["always-satisfied"]
    given["chain.yaml"] = CHAIN.replace(
        "{check: scope}, {check: rbac}, {check: resource_policy}",
        "{check: resource_policy}, {check: scope}, {check: rbac}",
    )
    assert SolverProver().prove(load_policy(given)).found == ()


def test_no_time_is_no_finding() -> None:
    """Of what could not be told in time, the name is told and nothing else."""
    rules = "[{name: it, effect: deny, when: 'resource.attr.level > 3 && resource.attr.level < 4'}]"
    proofs = SolverProver(timeout_s=0.000_001).prove(load_policy(files(rules, attributes="level: int")))
    assert (proofs.found, proofs.undecided) == ((), ("it",))


def test_a_list_that_was_looked_at_in_part_proves_nothing() -> None:
    """Seven different sizes satisfy this; a proof looks at six. Such a rule was once called never satisfied."""
    parts = " && ".join(f"resource.attr.sizes.exists(s, s + 3 == {number}0)" for number in range(1, 8))
    rules = f'[{{name: it, effect: deny, when: "{parts}"}}]'
    proofs = SolverProver().prove(load_policy(files(rules, attributes="sizes: {type: list(int), default: []}")))
    assert (proofs.found, proofs.undecided) == ((), ("it",))
    assert proofs.bounds == ("lists in `resource.attr.sizes` with more than 6 different items were not looked at",)


def test_any_number_of_texts_may_be_looked_for_in_a_list() -> None:
    """Texts that are written out have a place each, so that nothing is left undecided."""
    some = " && ".join(f"resource.attr.tags.exists(t, t == 'tag-{number}')" for number in range(20))
    rules = f"""[{{name: it, effect: deny, when: "{some} && !('tag-7' in resource.attr.tags)"}}]"""
    proofs = SolverProver().prove(load_policy(files(rules, attributes="tags: {type: list(string), default: []}")))
    assert ([one.code for one in proofs.found], proofs.undecided) == (["never-satisfied"], ())


def test_a_rule_among_many_is_proved_shadowed_by_the_few_that_matter() -> None:
    """Forty rules apply to the same ids, and one of them says it all."""
    others = ", ".join(f"{{name: m{n}, effect: deny, when: 'resource.attr.level == {n}'}}" for n in range(40))
    first = "{name: a, effect: deny, when: 'resource.attr.level > 100'}"
    rules = f"[{first}, {others}, {{name: z, effect: deny, when: 'resource.attr.level > 200'}}]"
    policy = load_policy(files(rules, attributes="level: {type: int, default: 0}"))
    proofs = SolverProver().prove(policy)
    assert [(one.code, one.message.split("`")[1]) for one in proofs.found] == [("shadowed-rule", "z")]
    assert proofs.undecided == ()
