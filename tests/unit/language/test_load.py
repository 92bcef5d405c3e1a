"""Rule files → Policy: what a good set means, and how mistakes in one file silence what depends on it."""

from __future__ import annotations

import pytest

from policy_service.language.load import load, load_policy
from policy_service.language.policy import BuiltinCheck, ConditionCheck, Policy, ResourcePattern
from policy_service.model.address import ANY, parse_network
from policy_service.model.errors import PolicyErrors
from policy_service.model.names import OWN_SCOPES
from policy_service.model.reasons import CHECKS
from tests.unit.language.folders import CHAIN, shipped, small, thing


def codes(files: dict[str, str]) -> list[str]:
    """Every diagnostic as `file code`."""
    return [f"{one.span.file} {one.code}" for one in load(files).diagnostics]


def good(files: dict[str, str]) -> Policy:
    """The policy of files that must load without a word."""
    loaded = load(files)
    assert loaded.diagnostics == ()
    assert loaded.policy is not None
    return loaded.policy


def test_the_shipped_policies_load_without_a_warning() -> None:
    """What newcomers read first is above reproach."""
    policy = good(shipped())
    assert {"pipelines:read", "pipelines:run", "connections:read", "connections:write"} < set(policy.scopes)
    assert set(policy.scopes) >= OWN_SCOPES
    assert [check.name for check in policy.chain] == list(CHECKS)
    assert policy.resources["pipeline"].unregistered == "allow"
    assert policy.roles["administrator"].closure == frozenset(policy.scopes)


def test_the_least_policy_is_a_chain_and_a_catalogue() -> None:
    """Roles, networks, context and resource files may all be absent."""
    policy = good({"chain.yaml": CHAIN, "scopes.yaml": "scopes: {}\n"})
    assert (policy.roles, policy.networks, policy.context, policy.resources) == ({}, {}, (), {})
    assert policy.digest.startswith("sha256:")


def test_chain_and_catalogue_are_needed() -> None:
    """An empty folder is told of both."""
    assert codes({}) == ["chain.yaml missing-file", "scopes.yaml missing-file"]


def test_scopes_close_over_what_they_imply() -> None:
    """Transitively, and each scope holds itself."""
    scopes = "scopes:\n  a:x: {on: [thing], implies: ['a:y']}\n  a:y: {on: [], implies: ['a:z']}\n  a:z: {on: []}\n"
    policy = good({"chain.yaml": CHAIN, "scopes.yaml": scopes})
    assert policy.scopes["a:x"].closure == {"a:x", "a:y", "a:z"}
    assert policy.scopes["a:x"].on == {"thing"}
    assert policy.scopes["a:z"].closure == {"a:z"}


def test_roles_close_over_inheritance_and_implication() -> None:
    """A role grants its scopes, theirs, and those of every role it inherits; its lineage names those roles."""
    scopes = "scopes:\n  a:x: {on: [], implies: ['a:y']}\n  a:y: {on: []}\n  a:z: {on: []}\n"
    roles = "roles:\n  top: {inherits: [mid]}\n  mid: {scopes: ['a:x'], inherits: [low]}\n  low: {scopes: ['a:z']}\n"
    policy = good({"chain.yaml": CHAIN, "scopes.yaml": scopes, "roles.yaml": roles})
    assert policy.roles["top"].closure == {"a:x", "a:y", "a:z"}
    assert policy.roles["top"].lineage == {"top", "mid", "low"}
    assert policy.roles["low"].closure == {"a:z"}
    assert policy.roles["top"].scopes == ()


def test_networks_are_parsed_and_sorted() -> None:
    """CIDRs of both families, single addresses, and the word any."""
    networks = 'networks:\n  office: ["2001:db8::/32", 203.0.113.0/24, 192.0.2.7]\n  world: [any]\n'
    policy = good(small(networks=networks))
    assert [network.text for network in policy.networks["office"]] == [
        "192.0.2.7/32",
        "203.0.113.0/24",
        "2001:db8::/32",
    ]
    assert parse_network("192.0.2.7") == policy.networks["office"][0]
    assert policy.networks["world"] == (ANY,)


def test_defaults_take_their_run_time_form() -> None:
    """Timestamps are nanoseconds, lists tuples, an integer is a double where a double is declared."""
    attributes = """
  text: {type: string, default: "no"}
  count: {type: int, default: -3}
  ratio: {type: double, default: 2}
  share: {type: double, default: 1.5e+3}
  live: {type: bool, default: false}
  since: {type: timestamp, default: "1970-01-01T00:00:01+00:00"}
  tags: {type: list( string ), default: [b, a]}
  times: {type: list(timestamp), default: ["1970-01-01T00:00:00.000000001Z"]}
  owner_team: {type: string, from: store}
  plain: list(int)
"""
    policy = good(small(thing=f"resource: thing\nattributes:{attributes}"))
    found = {one.name: one for one in policy.resources["thing"].attributes}
    assert list(found) == sorted(found)
    assert {name: one.default for name, one in found.items() if one.has_default} == {
        "text": "no",
        "count": -3,
        "ratio": 2.0,
        "share": 1500.0,
        "live": False,
        "since": 1_000_000_000,
        "tags": ("b", "a"),
        "times": (1,),
    }
    assert isinstance(found["ratio"].default, float)
    assert found["owner_team"].from_store
    assert not found["plain"].from_store
    assert str(found["plain"].type) == "list(int)"


def test_rules_are_sorted_by_name_and_keep_their_place() -> None:
    """Order in the file means nothing; the span is where the author finds the rule."""
    rules = """
  - {name: zebra, effect: deny, reason: no_zebras, message: "No\\n zebras.", scopes: ["things:use"]}
  - {name: ant, effect: allow, resources: ["b", "a*", "*"]}
"""
    policy = good(small(thing=f"resource: thing\nunregistered: allow\ndefault: allow\nrules:{rules}"))
    resource = policy.resources["thing"]
    ant, zebra = resource.rules
    assert (resource.default, resource.unregistered) == ("allow", "allow")
    assert (ant.name, ant.effect, ant.scopes, ant.reason, ant.message) == ("ant", "allow", None, None, None)
    assert ant.patterns == (ResourcePattern("", True), ResourcePattern("a", True), ResourcePattern("b"))
    assert (zebra.reason, zebra.message, zebra.scopes) == ("no_zebras", "No zebras.", {"things:use"})
    assert (zebra.span.file, zebra.span.line, zebra.span.column) == ("resources/thing.yaml", 5, 12)


def test_both_effects_default_to_deny() -> None:
    """A type that says nothing allows nothing and takes registered resources only."""
    resource = good(small(thing="resource: thing\n")).resources["thing"]
    assert (resource.default, resource.unregistered, resource.rules) == ("deny", "deny", ())


def test_the_last_four_checks_come_in_the_authors_order_with_conditions_among_them() -> None:
    """Only the first three have a fixed place."""
    order = ["credential", "revocation", "workspace", "ip_allowlist", "resource_policy", "rbac", "scope"]
    lines = [f"  - check: {name}\n" for name in order]
    condition = (
        "  - {check: condition, name: night, require: 'resource.id != \"x\"', reason: at_night, resource: thing}\n"
    )
    policy = good(small(chain="".join(["chain:\n", *lines[:3], condition, *lines[3:]])))
    assert [check.name for check in policy.chain] == [*order[:3], "night", *order[3:]]
    assert isinstance(policy.chain[0], BuiltinCheck)
    night = policy.chain[3]
    assert isinstance(night, ConditionCheck)
    assert (night.reason, night.when, night.message, night.resource_type) == ("at_night", None, None, "thing")
    assert night.require.text == 'resource.id != "x"'


def test_an_unreadable_catalogue_does_not_make_every_scope_undeclared() -> None:
    """One syntax error is one diagnostic, not fifty."""
    files = small(
        scopes="scopes: [\n",
        roles="roles:\n  viewer: {scopes: ['things:see']}\n",
        thing=thing("  - {name: r, effect: deny, scopes: ['things:use']}"),
    )
    assert codes(files) == ["scopes.yaml yaml-syntax"]


@pytest.mark.parametrize("broken", ["scopes: 5\n", "scopes:\n", "scope: {}\n"])
def test_a_catalogue_of_the_wrong_shape_silences_its_readers_too(broken: str) -> None:
    """The catalogue is what is wrong, not those who name its scopes."""
    files = small(scopes=broken, roles="roles:\n  viewer: {scopes: ['things:see']}\n")
    assert {line.split()[0] for line in codes(files)} == {"scopes.yaml"}


def test_unreadable_networks_and_context_silence_conditions_that_need_them() -> None:
    """Conditions that do not need them are still checked."""
    rules = """
  - {name: a, effect: deny, when: 'request.ip.inNetwork("office")'}
  - {name: b, effect: deny, when: 'request.context.ticket == "x"'}
  - {name: c, effect: deny, when: 'resource.nme == "x"'}
"""
    found = codes(small(networks="networks: [\n", context="context: 3\n", thing=thing(rules)))
    assert found[:2] == ["context.yaml wrong-type", "networks.yaml yaml-syntax"]
    assert len(found) == 3
    assert found[2].startswith("resources/thing.yaml ")


def test_a_broken_attribute_silences_the_conditions_that_read_it() -> None:
    """The attribute's own mistake is enough."""
    rules = "  - {name: a, effect: deny, when: 'resource.attr.env == \"x\"'}"
    assert codes(small(thing=thing(rules, "{env: strng}"))) == ["resources/thing.yaml unknown-type"]
    assert codes(small(thing=thing(rules, "[]"))) == ["resources/thing.yaml wrong-type"]


def test_a_condition_on_an_unreadable_type_is_left_alone() -> None:
    """The resource file's syntax error is enough."""
    condition = "  - {check: condition, name: n, require: resource.attr.live, reason: dead, resource: other}\n"
    assert codes(small(chain=CHAIN + condition, other="resource: [\n")) == ["resources/other.yaml yaml-syntax"]


def test_a_type_with_scopes_but_without_a_file_is_legal() -> None:
    """It is known to conditions of the chain, without attributes."""
    scopes = "scopes:\n  others:use: {on: [other]}\n"
    condition = "  - {check: condition, name: n, require: 'resource.id != \"x\"', reason: dead, resource: other}\n"
    policy = good({"chain.yaml": CHAIN + condition, "scopes.yaml": scopes})
    assert policy.resources == {}


def test_files_of_others_are_not_read() -> None:
    """Tests, invariants, schemas and whatever is not YAML."""
    files = {**small(), "tests/a.yaml": "[", "tests/b/c.yml": "[", "invariants.yaml": "[", ".schemas/x.json": "["}
    assert codes({**files, "README.md": "["}) == []


def test_a_byte_order_mark_changes_nothing() -> None:
    """Editors on Windows write one; places stay right."""
    files = small()
    files["scopes.yaml"] = "\ufeff" + files["scopes.yaml"]
    assert good(files).digest == good(small()).digest
    files["scopes.yaml"] = "\ufeffscope: {}\n"
    first = load(files).diagnostics[0]
    assert (first.span.line, first.span.column) == (1, 1)


def test_load_policy_raises_all_diagnostics_at_once() -> None:
    """For callers who want a policy or an exception."""
    assert load_policy(small()).digest
    with pytest.raises(PolicyErrors) as caught:
        load_policy(small(scopes="scopes:\n  a: 1\n  b: 2\n"))
    assert [one.code for one in caught.value.diagnostics] == ["bad-name", "wrong-type", "bad-name", "wrong-type"]
    assert "scopes.yaml:2:3: `a` is not a scope name" in str(caught.value)


def test_too_many_names_are_refused() -> None:
    """Closures cost up to the square of their number."""
    scopes = "scopes:\n" + "".join(f"  a:s{number}: {{on: []}}\n" for number in range(1001))
    assert codes({"chain.yaml": CHAIN, "scopes.yaml": scopes}) == ["scopes.yaml too-many"]


def test_too_many_attributes_are_refused() -> None:
    """A type with hundreds of attributes is a mistake; its rules are not reported beside it."""
    attributes = "{" + ", ".join(f"a{number}: int" for number in range(201)) + "}"
    rules = "  - {name: a, effect: deny, when: resource.attr.a1 > 1}"
    assert codes(small(thing=thing(rules, attributes))) == ["resources/thing.yaml too-many"]


def test_too_many_cidrs_are_refused() -> None:
    """A network is not a database."""
    networks = f"networks:\n  office: [{', '.join(['192.0.2.1'] * 10_001)}]\n"
    assert codes(small(networks=networks)) == ["networks.yaml too-many"]


def test_a_default_without_a_value_is_told_how_to_write_one() -> None:
    """Nothing is no number and no boolean."""
    attributes = "{a: {type: int, default: }, b: {type: bool, default: ~}}"
    assert codes(small(thing=thing("  []", attributes))) == ["resources/thing.yaml yaml-null"] * 2


@pytest.mark.parametrize("chain", ["chain: 5\n", "chain: {}\n", "- check: credential\n"])
def test_a_chain_that_is_no_list_is_one_mistake(chain: str) -> None:
    """Nobody hears of seven missing checks as well."""
    assert codes(small(chain=chain)) == ["chain.yaml wrong-type"]


def test_a_long_message_is_refused() -> None:
    """Messages travel in answers."""
    rule = f"  - {{name: a, effect: deny, message: {'x' * 501}}}"
    assert codes(small(thing=thing(rule))) == ["resources/thing.yaml bad-value"]
