"""Every construct that has no formula is named, with its place; what has one is not."""

from __future__ import annotations

import json

import pytest

from policy_service.analysis.encode.chain import ChainEncoder, world_of
from policy_service.analysis.encode.functions import WORDS
from policy_service.language.load import load_policy
from tests.unit.analysis.policies import files, proved, statement

ATTRIBUTES = "env: string, level: int, ratio: double, tags: list(string)"

WITHOUT = [
    ("string(request.time) == 'x'", "`string()` of a timestamp"),
    ("string(request.time - key.created_at) == 'x'", "`string()` of a duration"),
    ("int(resource.attr.env) > 3", "`int()` of a string"),
    ("int(resource.attr.ratio) > 3", "`int()` of a double"),
    ("double(resource.attr.level) > 3.0", "`double()` of an int"),
    (
        "resource.attr.tags.exists(t, principal.teams.exists(u, t == u))",
        "a macro inside a macro over a list whose length is open",
    ),
    ("principal.teams[1] == 'a'", "an item by its number in a list whose order is open"),
    ("key.labels[resource.attr.env] == 'x'", "a map's entry by a key that is not written out"),
    ("resource.attr.env in key.labels", "`in` a map with a key that is not written out"),
    (
        "(resource.attr.level > 1 ? resource.attr.tags : principal.teams).exists(t, t == 'x')",
        "a choice between lists or maps",
    ),
    ("key.labels == key.labels", "equality of two values of type map(string)"),
    ("resource.attr.tags == principal.teams", "equality of two lists whose lengths are open"),
    ("principal.teams == ['a', 'b']", "equality of a list whose order is open"),
    ("resource.attr.env.matches('(?i)prod')", "flags such as `(?i)` in the pattern `(?i)prod`"),
    (r"resource.attr.env.matches('\\bprod')", r"`\b` in the pattern `\bprod`"),
    (r"resource.attr.env.matches('\\pL')", r"`\p` in the pattern `\pL`"),
    (r"resource.attr.env.matches('\\Qa\\E')", r"`\Q` in the pattern `\Qa\E`"),
    ("resource.attr.env.matches('a^b')", "`^` in the middle in the pattern `a^b`"),
    ("resource.attr.env.matches('(a$)b')", "`$` in the middle in the pattern `(a$)b`"),
    ("resource.attr.env.matches('[[:graph:]]')", "`[:graph:]` in the pattern `[[:graph:]]`"),
    (r"resource.attr.env.matches('[^\\x00-\\x{2FFFF}]')", "a character beyond U+2EFFF"),
    (r"resource.attr.env == '\U0003fffd'", "a character beyond U+2EFFF"),
]

WITH = [
    "resource.attr.tags == ['a'] || resource.attr.tags in [['a'], ['b']]",
    "[resource.attr.tags][0] == ['a'] || ['a', 'b'][resource.attr.level] == 'a'",
    "resource.attr.tags.map(t, [t]).exists(l, l == ['a'])",
    "['a', 'b'].exists(t, resource.attr.tags.exists(u, t == u))",
    "(resource.attr.level > 1 ? 'a' : resource.attr.env).startsWith('b')",
    r"resource.attr.env.matches('^(?P<n>a|\\d{2,3}?)+[^[:alpha:]\\]-]*$|\\Ax\\z')",
    r"resource.attr.env.matches('[^a]') && resource.attr.env == '\U0001f600'",
]


def unsupported(condition: str) -> list[str]:
    """What of a rule's condition has no formula; the world that stays must be one."""
    rules = json.dumps([{"name": "odd", "effect": "deny", "when": condition}], ensure_ascii=True)
    policy = load_policy(files(rules, attributes=ATTRIBUTES))
    world = world_of([policy], "pipelines:run", "pipeline")
    chain = ChainEncoder(policy, world, "pipelines:run", "pipeline").chain()
    assert world.well_formed()
    assert all((one.name, one.span.file) == ("odd", "resources/pipeline.yaml") for one in chain.unsupported)
    return [one.construct for one in chain.unsupported]


@pytest.mark.parametrize(("condition", "construct"), WITHOUT)
def test_what_has_no_formula_is_named(condition: str, construct: str) -> None:
    """In the author's words; whatever else the condition says."""
    assert unsupported(condition) == [construct]
    assert unsupported(f"resource.id == 'x' || ({condition})") == [construct]


@pytest.mark.parametrize("condition", WITH)
def test_what_has_a_formula_is_not(condition: str) -> None:
    """Near neighbours of the constructs above."""
    assert unsupported(condition) == []


def test_every_function_without_a_formula_is_in_the_table() -> None:
    """So that whoever takes one away, or adds one, comes by here."""
    assert set(WORDS.values()) <= {construct for _, construct in WITHOUT}


@pytest.mark.parametrize(("condition", "construct"), WITHOUT)
def test_a_statement_without_a_formula_is_undecided(condition: str, construct: str) -> None:
    """Never proved, and never left out."""
    never = f"decision.allowed && has(resource.attr.env) && ({condition})"
    given = files(attributes=ATTRIBUTES, invariants=statement(never, resource="pipeline"))
    finding = proved(given)
    assert finding.outcome == "undecided"
    assert finding.why == (f"{construct} has no formula (invariants.yaml:2, `it`)",)


@pytest.mark.parametrize(("condition", "_"), WITHOUT)
def test_no_rule_without_a_formula_is_relied_on(condition: str, _: str) -> None:
    """What only that rule could forbid is refuted or undecided; what the other checks forbid is proved all the same."""
    rules = json.dumps([{"name": "odd", "effect": "deny", "when": condition}])
    relying = statement('decision.allowed && request.scope == "pipelines:run"', resource="pipeline")
    assert proved(files(rules, attributes=ATTRIBUTES, invariants=relying)).outcome != "proved"
    other = statement("decision.allowed && facts.revoked")
    assert proved(files(rules, attributes=ATTRIBUTES, invariants=other)).outcome == "proved"
