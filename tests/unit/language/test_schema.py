"""The JSON Schemas that editors use."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import Any

import jsonschema_rs
import pytest
import yaml

from policy_service.language.load import load
from policy_service.language.schema import schemas
from tests.unit.language.folders import GOLDEN, GOLDEN_SUITES, SHIPPED, read_folder, shipped, small


class CoreLoader(yaml.SafeLoader):
    """YAML as editors read it: of all plain words only true and false are booleans, only null is nothing."""


CoreLoader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag.rpartition(":")[2] in ("int", "float", "null")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
CoreLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), ["t", "f"])


def schema_for(file: str) -> str:
    """The schema that a rule file of this name refers to."""
    path = PurePosixPath(file)
    stem = {"resources": "resource", "tests": "tests"}.get(path.parent.name, path.stem)
    return f"{stem}.schema.json"


def mistakes(file: str, text: str) -> list[str]:
    """JSON pointers of what an editor would underline."""
    validator = jsonschema_rs.validator_for(schemas()[schema_for(file)])
    document: Any = yaml.load(text, CoreLoader)
    return ["/".join(str(step) for step in error.instance_path) for error in validator.iter_errors(document)]


@pytest.mark.parametrize("name", sorted(schemas()))
def test_every_schema_is_a_schema(name: str) -> None:
    """Valid 2020-12, with a title and a description to show."""
    schema = schemas()[name]
    assert jsonschema_rs.meta.is_valid(schema)
    assert schema["title"]
    assert schema["description"]


def test_the_committed_schemas_are_current() -> None:
    """`policy-service policy schema --out policies/.schemas` would change nothing."""
    committed = {path.name: json.loads(path.read_text()) for path in (SHIPPED / ".schemas").glob("*.json")}
    assert committed == schemas()


@pytest.mark.parametrize("file", sorted(shipped()))
def test_shipped_files_name_their_schema_and_fit_it(file: str) -> None:
    """Editors find the schema by the first line, and have nothing to underline."""
    text = shipped()[file]
    reference = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    target = (SHIPPED / file).parent / reference
    assert target.is_file()
    assert target.name == schema_for(file)
    assert mistakes(file, text) == []


@pytest.mark.parametrize(
    ("file", "text", "where"),
    [
        ("scopes.yaml", "scopes: {}\nscopse: {}", ""),
        ("scopes.yaml", "scopes:\n  a:b: {on: [thing], implys: []}", "scopes/a:b"),
        ("scopes.yaml", "scopes:\n  a:b: {on: thing}", "scopes/a:b/on"),
        ("scopes.yaml", "scopes:\n  a:b: {}", "scopes/a:b"),
        ("scopes.yaml", "scopes:\n  a:b: {on: [Thing]}", "scopes/a:b/on/0"),
        ("scopes.yaml", "scopes:\n  'a:*': {on: []}", "scopes"),
        ("roles.yaml", "roles:\n  Big Boss: {}", "roles"),
        ("roles.yaml", "roles:\n  boss: {scopes: [all]}", "roles/boss/scopes/0"),
        ("networks.yaml", "networks:\n  office: 203.0.113.0/24", "networks/office"),
        ("networks.yaml", "networks:\n  office: [home]", "networks/office/0"),
        ("networks.yaml", "networks:\n  office: []", "networks/office"),
        ("context.yaml", "context:\n  ticket: text", "context/ticket"),
        ("context.yaml", "context:\n  in: string", "context"),
        ("context.yaml", "context:\n  ticket: {type: string, from: store}", "context/ticket"),
        ("tests/t.yaml", "test: []", ""),
        ("tests/t.yaml", "now: tomorrow", "now"),
        ("tests/t.yaml", "facts: {users: {a: {role: x}}}", "facts/users/a"),
        ("tests/t.yaml", "facts: {users: {a: {roles: [X]}}}", "facts/users/a/roles/0"),
        ("tests/t.yaml", "facts: {keys: {k: {user: a, service: b, scopes: []}}}", "facts/keys/k"),
        ("tests/t.yaml", "facts: {resources: {orders: {}}}", "facts/resources"),
        ("tests/t.yaml", "tests: [{name: a, keys: k, scopes: a:b, resources: r}]", "tests/0"),
        ("tests/t.yaml", "tests: [{name: a, scopes: a:b, resources: r, expect: []}]", "tests/0"),
        (
            "tests/t.yaml",
            "tests: [{name: a, keys: k, scopes: a:b, resources: r, expect: [{decision: no}]}]",
            "tests/0/expect/0/decision",
        ),
        ("resources/t.yaml", "resource: t\ndefault: yes", "default"),
        ("resources/t.yaml", "resource: T", "resource"),
        ("resources/t.yaml", "resource: t\nattributes: {a: {type: int, default: x}}", "attributes/a/default"),
        ("resources/t.yaml", "resource: t\nattributes: {a: {type: bool, default: yes}}", "attributes/a/default"),
        ("resources/t.yaml", "resource: t\nattributes: {a: {type: list(int), default: [x]}}", "attributes/a/default/0"),
        ("resources/t.yaml", "resource: t\nattributes: {a: list(list(int))}", "attributes/a"),
        ("resources/t.yaml", "resource: t\nrules: [{name: A, effect: deny}]", "rules/0/name"),
        ("resources/t.yaml", "resource: t\nrules: [{name: a}]", "rules/0"),
        ("resources/t.yaml", "resource: t\nrules: [{name: a, effect: deny, when: true}]", "rules/0/when"),
        ("resources/t.yaml", "resource: t\nrules: [{name: a, effect: allow, reason: x}]", "rules/0/reason"),
        ("resources/t.yaml", "resource: t\nrules: [{name: a, effect: deny, reason: allowed}]", "rules/0/reason"),
        (
            "resources/t.yaml",
            "resource: t\nrules: [{name: a, effect: deny, resources: ['a*b']}]",
            "rules/0/resources/0",
        ),
        ("resources/t.yaml", "resource: t\nrules: [{name: a, effect: deny, scopes: []}]", "rules/0/scopes"),
    ],
)
def test_what_is_wrong_is_underlined_where_it_stands(file: str, text: str, where: str) -> None:
    """Exactly one place, and the narrowest one."""
    assert mistakes(file, text) == [where]


CHAIN = small()["chain.yaml"]


@pytest.mark.parametrize(
    "text",
    [
        CHAIN.replace("  - check: rbac\n", ""),
        CHAIN.replace("  - check: credential\n", "") + "  - check: credential\n",
        CHAIN + "  - check: scope\n",
        CHAIN.replace("check: rbac\n", "check: rbac\n    when: 'true'\n"),
        CHAIN.replace("check: credential\n", "check: credential\n    name: x\n"),
        CHAIN + "  - check: condition\n    name: x\n    require: 'true'\n",
        CHAIN + "  - check: condition\n    name: x\n    require: 'true'\n    reason: policy_error\n",
        CHAIN + "  - check: nonsense\n",
    ],
)
def test_a_chain_that_breaks_the_rules_does_not_fit(text: str) -> None:
    """Order, completeness and the fields of each kind of check."""
    assert mistakes("chain.yaml", CHAIN) == []
    assert mistakes("chain.yaml", text) != []
    assert load(small(chain=text)).policy is None


def test_every_golden_file_that_loads_fits_its_schema() -> None:
    """Editors never underline what the loader takes."""
    for case in sorted(GOLDEN.iterdir()):
        files = read_folder(case)
        wrong = {one.span.file for one in load(files).diagnostics if one.severity == "error"}
        for file in set(files) - wrong:
            if not file.startswith("tests/") and file != "invariants.yaml":
                assert mistakes(file, files[file]) == [], (case.name, file)


def test_every_test_file_with_a_wrong_shape_is_underlined() -> None:
    """What is wrong without looking at another file, an editor sees as well."""
    folder = GOLDEN_SUITES / "shape"
    assert mistakes("tests/broken.yaml", (folder / "tests/broken.yaml").read_text().replace("{ 9: x }", "{}")) != []
