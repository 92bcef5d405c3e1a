"""The digest names a policy's meaning: what counts and what does not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.language.digest import canonical
from policy_service.language.load import load_policy
from policy_service.model.canonical import canonical_text
from tests.unit.language.folders import CHAIN, shipped, small, thing

NETWORKS = "networks:\n  office: [203.0.113.0/24]\n  unused: [192.0.2.0/24]\n"
CONDITION = """  - check: condition
    name: freeze
    when: request.scope == "things:use"
    require: request.time < timestamp("2099-12-20T00:00:00Z")
    reason: frozen
    message: Later.
"""
RULES = """
  # a comment
  - name: first
    effect: deny
    scopes: [things:use, things:see]
    resources: [a, "b*"]
    when: resource.attr.tags.exists(t, t == "x") && request.ip.inNetwork("office") && resource.attr.size > 1
    reason: because
    message: Because.
  - name: second
    effect: allow
"""
ATTRIBUTES = "{tags: {type: list(string), default: [a]}, size: {type: int, default: 1}}"


def world() -> dict[str, str]:
    """A set that has something of everything."""
    return small(
        chain=CHAIN + CONDITION,
        scopes="scopes:\n  things:use: {on: [thing], implies: ['things:see']}\n  things:see: {on: [thing]}\n",
        roles="roles:\n  viewer: {scopes: ['things:see'], description: Sees}\n  op: {inherits: [viewer]}\n",
        networks=NETWORKS,
        context="context: {ticket: string}\n",
        thing=thing(RULES, ATTRIBUTES),
    )


def digest_with(file: str, old: str, new: str) -> str:
    """The digest of the world with one piece of one file replaced."""
    files = world()
    assert old in files[file]
    files[file] = files[file].replace(old, new)
    return load_policy(files).digest


THING = "resources/thing.yaml"


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (THING, "# a comment", "# another"),
        (THING, "things:use, things:see", "things:see, things:use"),
        (THING, '[a, "b*"]', "['b*', a]"),
        (THING, 't, t == "x"', "tag, tag == 'x'"),
        (THING, " && resource.attr.size > 1", "  &&  resource.attr.size>1"),
        (THING, "message: Because.", "message: >\n      Because."),
        ("roles.yaml", "description: Sees", "description: Looks"),
        ("scopes.yaml", "things:use: {", "things:use: {description: Uses, "),
        ("networks.yaml", "unused: [192.0.2.0/24]", "other: [198.51.100.0/24]"),
        ("networks.yaml", "[203.0.113.0/24]", "[203.0.113.128/25, 203.0.113.0/25]"),
    ],
)
def test_what_does_not_change_a_decision_does_not_count(file: str, old: str, new: str) -> None:
    """Comments, order within sets, spelling of conditions, names of macro variables, descriptions, unused networks."""
    assert digest_with(file, old, new) == load_policy(world()).digest


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (THING, "name: first", "name: third"),
        (THING, "effect: allow", "effect: deny"),
        (THING, "scopes: [things:use, things:see]", "scopes: [things:use]"),
        (THING, "    scopes: [things:use, things:see]\n", ""),
        (THING, '[a, "b*"]', "[a, b]"),
        (THING, '[a, "b*"]', '["a*", "b*"]'),
        (THING, '    resources: [a, "b*"]\n', ""),
        (THING, "size > 1", "size > 2"),
        (THING, "size > 1", "size >= 1"),
        (THING, 't == "x"', 't == "y"'),
        (THING, "exists(t", "all(t"),
        (THING, "reason: because", "reason: therefore"),
        (THING, "message: Because.", "message: Therefore."),
        (THING, "    message: Because.\n", ""),
        (THING, "default: [a]", "default: [b]"),
        (THING, "{type: int, default: 1}", "{type: int, default: 1, from: store}"),
        (THING, "resource: thing", "resource: thing\ndefault: allow"),
        (THING, "resource: thing", "resource: thing\nunregistered: allow"),
        ("networks.yaml", "[203.0.113.0/24]", "[203.0.113.0/25]"),
        ("context.yaml", "string", "int"),
        ("scopes.yaml", "implies: ['things:see']", "implies: []"),
        ("scopes.yaml", "things:see: {on: [thing]}", "things:see: {on: []}".replace("[]", "[thing, other]")),
        ("roles.yaml", "inherits: [viewer]", "scopes: ['things:see']"),
        ("chain.yaml", "name: freeze", "name: thaw"),
        ("chain.yaml", "reason: frozen", "reason: icy"),
        ("chain.yaml", "message: Later.", "message: Never."),
        ("chain.yaml", "2099-12-20", "2099-12-21"),
        ("chain.yaml", '    when: request.scope == "things:use"\n', ""),
        ("chain.yaml", "    reason: frozen", "    resource: thing\n    reason: frozen"),
        ("chain.yaml", "  - check: scope\n  - check: rbac\n", "  - check: rbac\n  - check: scope\n"),
    ],
)
def test_what_changes_an_answer_counts(file: str, old: str, new: str) -> None:
    """Decisions, reasons, messages and names that answers show."""
    assert digest_with(file, old, new) != load_policy(world()).digest


@given(st.randoms(use_true_random=False))
def test_file_order_and_rule_order_do_not_count(rng: random.Random) -> None:
    """Shuffling both gives the same digest."""
    rules = [f"  - {{name: r{number}, effect: deny, reason: r{number}}}\n" for number in range(5)]
    expected = load_policy(small(thing=thing("".join(rules)))).digest
    rng.shuffle(rules)
    files = list(small(thing=thing("".join(rules))).items())
    rng.shuffle(files)
    assert load_policy(dict(files)).digest == expected


def test_equal_texts_of_different_types_differ() -> None:
    """An integer default is not the double of the same value."""
    double = load_policy(small(thing=thing("  []", "{x: {type: double, default: 1}}"))).digest
    integer = load_policy(small(thing=thing("  []", "{x: {type: int, default: 1}}"))).digest
    assert double != integer


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (
            'resource.attr.tags.map(t, t + "x").exists(u, u == "ax")',
            'resource.attr.tags.map(a, a + "x").exists(b, b == "ax")',
            'resource.attr.tags.map(t, t + "y").exists(u, u == "ax")',
        ),
        (
            'resource.attr.tags.filter(t, t != "x").size() > 1',
            'resource.attr.tags.filter(q, q != "x").size() > 1',
            'resource.attr.tags.map(t, t != "x").size() > 1',
        ),
        ("resource.attr.size in [1, 2]", "resource.attr.size in [ 1 , 2 ]", "resource.attr.size in [2, 1]"),
        ('resource.id.matches("a+")', "resource.id.matches('a+')", 'resource.id.matches("a*")'),
        ('has(key.labels.env) ? true : key.id == "x"', "has(key.labels.env)?true:key.id=='x'", "has(key.labels.x)"),
    ],
)
def test_conditions_count_by_what_they_compute(one: str, same: str, other: str) -> None:
    """Names of macro variables and spelling do not; patterns, literals and functions do."""

    def digest_of(when: str) -> str:
        rule = f"  - name: r\n    effect: deny\n    when: |\n      {when}\n"
        return load_policy(small(thing=thing(rule, ATTRIBUTES))).digest

    assert digest_of(one) == digest_of(same)
    assert digest_of(one) != digest_of(other)


def test_the_canonical_form_is_stable() -> None:
    """Field by field, as every record that names a digest relies on; a change here is a change of the interface."""
    form = canonical(load_policy(small(thing=thing(RULES, ATTRIBUTES), networks=NETWORKS)))
    assert form["form"] == "policy/1"
    assert form["chain"][0] == {"check": "credential"}
    assert form["scopes"] == {
        "things:see": {"on": ["thing"], "implies": []},
        "things:use": {"on": ["thing"], "implies": []},
    }
    assert form["resources"]["thing"]["rules"]["second"] == {
        "effect": "allow",
        "scopes": None,
        "resources": None,
        "when": None,
        "reason": None,
        "message": None,
    }
    assert form["resources"]["thing"]["rules"]["first"]["resources"] == [["a", False], ["b", True]]
    assert '"v0"' in canonical_text(form)


def test_the_digest_of_the_shipped_policies_says_what_it_is() -> None:
    """`sha256:` and 64 digits; the same on every load."""
    first, second = load_policy(shipped()).digest, load_policy(shipped()).digest
    assert first == second
    assert first.startswith("sha256:")
    assert len(first) == 71
