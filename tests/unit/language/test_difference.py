"""What two policies say differently."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_service.language.difference import differences
from policy_service.language.load import load_policy

FILES = {
    "chain.yaml": """\
chain:
  - check: credential
  - check: revocation
  - check: workspace
  - check: scope
  - check: rbac
  - check: resource_policy
  - check: condition
    name: freeze
    require: request.time < timestamp("2099-12-20T00:00:00Z")
    reason: change_freeze
  - check: ip_allowlist
""",
    "scopes.yaml": "scopes:\n  pipelines:run: {on: [pipeline]}\n  pipelines:read: {on: [pipeline]}\n",
    "roles.yaml": "roles:\n  operator: {scopes: [pipelines:run]}\n",
    "networks.yaml": "networks:\n  office: [10.0.0.0/8]\n",
    "context.yaml": "context:\n  ticket: string\n",
    "resources/pipeline.yaml": """\
resource: pipeline
default: allow
attributes:
  env: {type: string, default: dev}
rules:
  - name: locked
    effect: deny
    resources: ["locked-*", one]
    when: resource.attr.env == "prod"
    reason: locked
  - name: away
    effect: deny
    when: "!request.ip.inNetwork('office')"
""",
}
EDITS: dict[str, tuple[str, str, str, list[tuple[str, str, str, dict[str, Any]]]]] = {
    "a scope more": (
        "scopes.yaml", "scopes:\n", "scopes:\n  pipelines:stop: {on: [pipeline]}\n",
        [("added", "scope", "pipelines:stop", {})],
    ),
    "a scope implies": (
        "scopes.yaml", "pipelines:run: {on: [pipeline]}", "pipelines:run: {on: [pipeline], implies: [pipelines:read]}",
        [("changed", "scope", "pipelines:run", {"implies": ([], ["pipelines:read"])})],
    ),
    "a role gone": (
        "roles.yaml", "roles:\n  operator: {scopes: [pipelines:run]}\n", "roles: {}\n",
        [("removed", "role", "operator", {})],
    ),
    "another order": (
        "chain.yaml", "  - check: rbac\n  - check: resource_policy\n", "  - check: resource_policy\n  - check: rbac\n",
        [(
            "changed", "chain", "order",
            {"checks": (
                ["credential", "revocation", "workspace", "scope", "rbac", "resource_policy", "freeze", "ip_allowlist"],
                ["credential", "revocation", "workspace", "scope", "resource_policy", "rbac", "freeze", "ip_allowlist"],
            )},
        )],
    ),
    "a condition check": (
        "chain.yaml", "2099", "2098",
        [(
            "changed", "check", "freeze",
            {"require": (
                'request.time < timestamp("2099-12-20T00:00:00Z")', 'request.time < timestamp("2098-12-20T00:00:00Z")',
            )},
        )],
    ),
    "context": (
        "context.yaml", "ticket: string", "ticket: int",
        [("changed", "context", "ticket", {"type": ("string", "int")})],
    ),
    "an attribute": (
        "resources/pipeline.yaml", "default: dev", "default: test",
        [("changed", "attribute", "pipeline/env", {"default": (["dev"], ["test"])})],
    ),
    "a resource": (
        "resources/pipeline.yaml", "default: allow", "default: deny",
        [("changed", "resource", "pipeline", {"default": ("allow", "deny")})],
    ),
    "a rule": (
        "resources/pipeline.yaml", 'resources: ["locked-*", one]\n    when: resource.attr.env == "prod"',
        'resources: ["locked-*"]\n    when: resource.attr.env   !=   "prod"',
        [(
            "changed", "rule", "pipeline/locked",
            {
                "resources": (["locked-*", "one"], ["locked-*"]),
                "when": ('resource.attr.env == "prod"', 'resource.attr.env != "prod"'),
            },
        )],
    ),
    "a rule without its condition": (
        "resources/pipeline.yaml", '    when: resource.attr.env == "prod"\n', "",
        [("changed", "rule", "pipeline/locked", {"when": ('resource.attr.env == "prod"', None)})],
    ),
    "a network that a condition uses": (
        "networks.yaml", "10.0.0.0/8", "192.0.2.0/24",
        [(
            "changed", "rule", "pipeline/away",
            {"when": ("!request.ip.inNetwork('office')", "!request.ip.inNetwork('office')")},
        )],
    ),
    "another name": (
        "resources/pipeline.yaml", "name: locked", "name: closed",
        [("added", "rule", "pipeline/closed", {}), ("removed", "rule", "pipeline/locked", {})],
    ),
    "a comment": ("roles.yaml", "roles:", "# about roles\nroles:", []),
}  # fmt: skip


def edited(*names: str) -> dict[str, str]:
    """The files after some edits."""
    files = dict(FILES)
    for name in names:
        file, before, after, _ = EDITS[name]
        assert before in files[file]
        files[file] = files[file].replace(before, after, 1)
    return files


@pytest.mark.parametrize("name", EDITS)
def test_each_kind_of_edit_is_told_by_part_and_name(name: str) -> None:
    """With what it said before and says after; conditions by their text."""
    found = differences(load_policy(FILES), load_policy(edited(name)))
    assert [(one.kind, one.part, one.name, one.fields) for one in found] == EDITS[name][3]


@given(names=st.sets(st.sampled_from(["a scope more", "a scope implies", "another order", "context", "a comment"])))
@settings(max_examples=25, deadline=None)
def test_differences_and_digests(names: set[str]) -> None:
    """Two policies differ in nothing exactly when they have one digest, and alike in both directions."""
    before, after = load_policy(FILES), load_policy(edited(*sorted(names)))
    there, back = differences(before, after), differences(after, before)
    assert (there == ()) == (before.digest == after.digest)
    assert {(one.part, one.name) for one in there} == {(one.part, one.name) for one in back}
    turned = {"added": "removed", "removed": "added", "changed": "changed"}
    assert [turned[one.kind] for one in there] == [one.kind for one in back]


def test_a_whole_resource_type_comes_with_all_its_parts() -> None:
    """Each by its own name, in the order of the kinds."""
    files = {name: text for name, text in FILES.items() if not name.startswith("resources/")}
    found = differences(load_policy(files), load_policy(FILES))
    assert [(one.kind, one.part, one.name) for one in found] == [
        ("added", "resource", "pipeline"),
        ("added", "attribute", "pipeline/env"),
        ("added", "rule", "pipeline/away"),
        ("added", "rule", "pipeline/locked"),
    ]
