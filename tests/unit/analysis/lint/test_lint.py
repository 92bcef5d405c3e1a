"""Each code is found where it should be, and nothing is found in what is well."""

from __future__ import annotations

import re

import pytest

from policy_service.analysis.lint.findings import CODES
from policy_service.analysis.lint.lint import Proofs, Proved, fix, lint
from policy_service.language.load import load_policy
from policy_service.language.policy import Policy
from tests.unit.language.folders import CHAIN, ROOT, shipped, small, thing

SCOPES = """scopes:
  things:use: {on: [thing], description: Use things}
  things:see: {on: [thing], description: See things}
"""
ROLES = "roles:\n  user: {description: Uses things, scopes: [things:use, things:see]}\n"


def well(**changes: str | None) -> dict[str, str]:
    """Rule files with nothing to remark, but for what is changed."""
    return small(**{"scopes": SCOPES, "roles": ROLES, **changes})


def found(files: dict[str, str]) -> list[tuple[str, str]]:
    """`file:line:column` and code of each finding."""
    findings = [finding.diagnostic for finding in lint(files, load_policy(files))]
    return [(f"{one.span.file}:{one.span.line}:{one.span.column}", one.code) for one in findings]


def test_the_shipped_policies_leave_nothing_to_remark() -> None:
    """What is meant there says so."""
    assert found(shipped()) == []
    assert found(well()) == []


def role(more: str) -> str:
    """roles.yaml with one more role."""
    return f"{ROLES}  more: {{description: More, {more}}}\n"


def rule(when: str, effect: str = "deny") -> str:
    """A rule with a condition."""
    return f"  - name: r\n    effect: {effect}\n    when: '{when}'"


ENV = "{env: string}"
ALLOWS = "resource: thing\ndefault: allow\nrules:\n"
REASONED = "  - name: r\n    effect: deny\n    reason: never\n"
CHECK = "  - check: condition\n    name: c\n    reason: own\n    require: key.kind == 'user'\n"
OTHER = "things:see: {on: [other]"
NOT_DENIED = "resource: thing\ndefault: deny\nrules: [{name: r, effect: allow, scopes: [things:use]}]\n"


@pytest.mark.parametrize(
    ("code", "place", "changes"),
    [
        ("missing-description", "roles.yaml:3:3", {"roles": f"{ROLES}  more: {{scopes: [things:see]}}\n"}),
        ("missing-description", "scopes.yaml:3:3", {"scopes": SCOPES.replace(", description: See things", "")}),
        ("ungranted-scope", "scopes.yaml:3:3", {"roles": ROLES.replace(", things:see", "")}),
        ("never-allowed-scope", "scopes.yaml:3:3", {"thing": NOT_DENIED}),
        ("scope-without-policy", "scopes.yaml:3:3", {"scopes": SCOPES.replace("things:see: {on: [thing]", OTHER)}),
        ("empty-role", "roles.yaml:3:3", {"roles": role("scopes: []")}),
        ("implied-twice", "roles.yaml:3:56", {"roles": role("inherits: [user], scopes: [things:see]")}),
        ("implied-twice", "scopes.yaml:4:69", {
            "scopes": SCOPES.replace("Use things}", "Use things, implies: [things:see]}")
            + "  things:all: {on: [thing], description: All, implies: [things:use, things:see]}\n",
            "roles": ROLES.replace("things:use", "things:all").replace(", things:see", ""),
        }),
        ("unused-network", "networks.yaml:2:3", {"networks": "networks:\n  office: [10.0.0.0/8]\n"}),
        ("inert-allow", "resources/thing.yaml:4:11", {"thing": ALLOWS + "  - name: r\n    effect: allow\n"}),
        ("missing-message", "resources/thing.yaml:4:11", {"thing": ALLOWS + REASONED}),
        ("missing-message", "chain.yaml:10:11", {"chain": CHAIN + CHECK}),
    ],
)  # fmt: skip
def test_what_is_hardly_meant_is_found_at_its_place(code: str, place: str, changes: dict[str, str]) -> None:
    """That, and nothing else."""
    assert found(well(**changes)) == [(place, code)]


@pytest.mark.parametrize(
    ("code", "when"),
    [
        ("impossible-value", 'principal.kind == "usr"'),
        ("impossible-value", 'request.scope in ["things:use", "things:seee"]'),
        ("impossible-value", '!("useer" in principal.roles)'),
        ("impossible-value", 'resource.type != "thingy"'),
        ("constant-condition", "1 == 1"),
        ("broad-cidr", 'has(request.ip) && request.ip.inCidr("64.0.0.0/2")'),
        ("broad-cidr", 'has(request.ip) && request.ip.inCidr("2000::/3")'),
    ],
)
def test_conditions_that_are_hardly_meant_are_found(code: str, when: str) -> None:
    """In the condition, at the value where there is one."""
    files = {**well(thing=ALLOWS + rule(when))}
    [(place, given)] = found(files)
    assert (place.rpartition(":")[0], given) == ("resources/thing.yaml:6", code)


def test_a_value_much_like_another_one_is_told() -> None:
    """Whether the other stands in a condition, a default or a fact of the tests; one unlike all others is not."""
    rules = (
        rule('has(resource.attr.env) && resource.attr.env == "prodd"')
        + "\n"
        + rule('has(resource.attr.env) && resource.attr.env in ["prod", "dev"]').replace("name: r", "name: s")
    )
    files = well(thing=f"default: allow\n{thing(rules, ENV)}")
    assert [code for _, code in found(files) if code == "lone-value"] == ["lone-value", "lone-value"]
    fact = 'facts: {resources: {"thing:a": {attributes: {env: prod}}}}\ntests: []\n'
    assert [code for _, code in found({**files, "tests/a.yaml": fact}) if code == "lone-value"] == ["lone-value"]
    claim = 'facts: {claims: {a: {resource: "thing:a", attributes: {env: [prodd, prod]}}}}\ntests: []\n'
    assert "lone-value" not in [code for _, code in found({**files, "tests/a.yaml": claim})]


def test_a_name_much_like_one_of_the_tests_facts_is_told() -> None:
    """Teams, users and services stand in no rule file: the facts of the tests are what an author has of them."""
    written = {"principal.teams": '"{}" in principal.teams', "principal.id": 'principal.id == "{}"'}
    sections = {"teams": "principal.teams", "users": "principal.id", "services": "principal.id"}
    for section, path in sections.items():
        tests = {"tests/a.yaml": f"facts: {{{section}: {{deployers: {{}}}}}}\ntests: []\n"}
        for name, expected in (("deployer", ["lone-value"]), ("deployers", []), ("warehouse", [])):
            files = well(thing=f"default: allow\n{thing(rule(written[path].format(name)))}")
            codes = [code for _, code in found({**files, **tests}) if code == "lone-value"]
            assert codes == expected, (section, name)


def test_twins_are_told_once() -> None:
    """However they are written."""
    rules = "  - {name: a, effect: deny, resources: ['x*', xy]}\n  - {name: b, effect: deny, resources: ['x*']}"
    codes = [code for _, code in found(well(thing=f"default: allow\n{thing(rules)}"))]
    assert codes == ["contained-pattern", "twin-rule"]


def test_what_nothing_reads_is_told() -> None:
    """Attributes and context."""
    files = well(
        thing=f"default: allow\n{thing('  []', ENV)}".replace("rules:\n  []\n", ""), context="context:\n  t: string\n"
    )
    assert found(files) == [("context.yaml:2:3", "unused-attribute"), ("resources/thing.yaml:3:14", "unused-attribute")]


NETWORKS = "networks:\n  office: [10.0.0.0/8, 10.1.0.0/16]\n"


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (NETWORKS.replace("  office", "  # lint: off contained-cidr to be split\n  office"), ["unused-network"]),
        (NETWORKS.rstrip() + " # lint: off contained-cidr to be split soon\n", ["unused-network"]),
        ("# lint: off unused-network to come\n" + NETWORKS, ["contained-cidr"]),
        (NETWORKS.replace("networks:\n", "networks:\n  # lint: off contained-cidr\n"),
         ["silence-without-reason", "unused-network"]),
        (NETWORKS + "  # lint: off contained-cidr not here\n  x: [any]\n",
         ["unused-network", "contained-cidr", "idle-silence", "unused-network", "broad-cidr"]),
        (NETWORKS + "# lint: off containd-cidr why\n", ["unused-network", "contained-cidr", "unknown-code"]),
        (NETWORKS + "# lint: off idle-silence why\n", ["unused-network", "contained-cidr", "unknown-code"]),
    ],
)  # fmt: skip
def test_a_comment_silences_one_code_in_one_entry(text: str, codes: list[str]) -> None:
    """With a reason; a comment that does nothing is told."""
    assert [code for _, code in found(well(networks=text))] == codes


BLOCK = """networks:
  office:
    - 10.1.0.0/16
    - 10.2.0.0/16 # the second floor
    - 10.0.0.0/8
  all: [any, 10.0.0.0/8, "::/1"]
"""


def test_mending_takes_out_what_changes_nothing() -> None:
    """From blocks and brackets; a line with a comment stays."""
    files = well(networks=BLOCK, roles=role("inherits: [user], scopes: [things:use, things:see]"))
    mended = fix(files, load_policy(files))
    assert (
        mended["networks.yaml"]
        == """networks:
  office:
    - 10.2.0.0/16 # the second floor
    - 10.0.0.0/8
  all: [any]
"""
    )
    assert mended["roles.yaml"] == role("inherits: [user], scopes: [things:see]")


def test_what_a_solver_proved_stands_among_the_others() -> None:
    """And is silenced alike."""

    files = well(thing=ALLOWS + rule('key.kind == "user"'))
    policy = load_policy(files)
    [finding] = lint(files, policy, unreachable(policy))
    assert (finding.code, finding.diagnostic.span.line) == ("unreachable-rule", 4)
    silent = files["resources/thing.yaml"].replace(
        "  - name", "  # lint: off unreachable-rule kept for later\n  - name"
    )
    files["resources/thing.yaml"] = silent
    policy = load_policy(files)
    assert lint(files, policy, unreachable(policy)) == ()


def test_a_comment_about_a_proof_is_idle_only_where_all_was_proved() -> None:
    """Without proofs, or with some that took too long, nobody knows."""
    files = well(thing=ALLOWS + rule('key.kind == "user"'))
    files["resources/thing.yaml"] = files["resources/thing.yaml"].replace(
        "  - name", "  # lint: off shadowed-rule kept for later\n  - name"
    )
    policy = load_policy(files)
    assert [one.code for one in lint(files, policy, Proofs(()))] == ["idle-silence"]
    assert lint(files, policy, Proofs((), ("r",))) == ()
    assert lint(files, policy) == ()


def unreachable(policy: Policy) -> Proofs:
    """As if a solver had found the only rule so."""
    [one] = policy.resources["thing"].rules
    return Proofs((Proved("unreachable-rule", "no request reaches it", one.span),))


def test_every_code_is_documented_and_every_documented_code_exists() -> None:
    """Neither list can grow without the other."""
    rows = re.findall(r"^\| (`.*?`) \|", (ROOT / "docs/lint.md").read_text(), re.MULTILINE)
    assert {code for row in rows for code in re.findall(r"`([^`]+)`", row)} == set(CODES)
