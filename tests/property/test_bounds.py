"""Everything has a bound, and passing it is told like any other mistake. Also: schemas fit what loads."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.engine.decide import decide
from policy_service.engine.explain import explain
from policy_service.language.load import load, load_policy
from policy_service.language.schema import schemas
from policy_service.model.errors import PolicyErrors
from policy_service.model.request import Credential, Request, ResourceRef
from tests.property.policies import FIXED, FREE, Documents, documents, render
from tests.property.test_small_worlds import FACTS, KEY, NOW
from tests.worlds import program_of, snapshot_of

BUILT_IN = {"chain": [{"check": name} for name in FIXED + FREE]}
SMALL: Documents = {
    "chain.yaml": BUILT_IN,
    "scopes.yaml": {"scopes": {"things:use": {"on": ["thing"]}}},
    "resources/thing.yaml": {"resource": "thing"},
}


def rule(when: str = "true", **more: Any) -> dict[str, Any]:
    return {"resource": "thing", "rules": [{"name": "a", "effect": "deny", "when": when, **more}]}


def yaml_of(documents: Documents, **texts: str) -> dict[str, str]:
    return {**render(documents), **{f"{name}.yaml": text for name, text in texts.items()}}


def with_thing(document: Any) -> dict[str, str]:
    return render({**SMALL, "resources/thing.yaml": document})


PAST: dict[str, tuple[str, dict[str, str]]] = {
    "all files": ("too-large", {**render(SMALL), "roles.yaml": "#" * 17_000_000}),
    "one file": ("yaml-too-large", {**render(SMALL), "roles.yaml": "#" * 4_500_000}),
    "values": ("yaml-too-large", {**render(SMALL), "roles.yaml": "[" + "a," * 250_001 + "]"}),
    "one text": ("yaml-too-large", with_thing(rule("x" * 17_000))),
    "depth": ("yaml-too-deep", {**render(SMALL), "roles.yaml": "[" * 17 + "]" * 17}),
    "attributes": ("too-many", with_thing({"resource": "thing", "attributes": {f"a{n}": "int" for n in range(201)}})),
    "scopes": ("too-many", render({**SMALL, "scopes.yaml": {"scopes": {f"a:b{n}": {"on": []} for n in range(1001)}}})),
    "CIDRs": (
        "too-many",
        render({**SMALL, "networks.yaml": {"networks": {"n": [f"10.{n // 256}.{n % 256}.0" for n in range(10_001)]}}}),
    ),
    "a message": ("bad-value", with_thing(rule(message="x" * 501))),
    "a number": (
        "wrong-type",
        {
            **with_thing({}),
            "resources/thing.yaml": "resource: thing\nattributes: {a: {type: int, default: " + "1" * 401 + "}}\n",
        },
    ),
    "a pattern": ("cel-bad-pattern", with_thing(rule('key.id.matches("' + "x" * 1001 + '")'))),
    "a list": ("cel-unsupported", with_thing(rule("1 in [" + ",".join("1" * 1001) + "]"))),
    "a condition": ("cel-too-long", with_thing(rule("true || " * 600 + "true"))),
    "nesting": ("cel-too-deep", with_thing(rule("(" * 40 + "true" + ")" * 40))),
    "a duration": ("cel-bad-duration", with_thing(rule('request.time - key.created_at > duration("999999999999h")'))),
    "bad characters": ("yaml-character", {**render(SMALL), "roles.yaml": "# \x00\n" * 30}),
    "a file that is none": ("wrong-type", {**render(SMALL), "networks.yaml": "networks: none\n"}),
    "a chain that is none": ("wrong-type", {**render(SMALL), "chain.yaml": "chain: none\n"}),
    "a default that is none": (
        "yaml-null",
        {**with_thing({}), "resources/thing.yaml": "resource: thing\nattributes: {a: {type: int, default: null}}\n"},
    ),
}


@pytest.mark.parametrize("what", sorted(PAST))
def test_past_a_bound_there_is_a_diagnostic_and_no_policy(what: str) -> None:
    """With its stable code; nothing is cut off in silence."""
    code, files = PAST[what]
    loaded = load(files)
    assert loaded.policy is None
    assert code in {one.code for one in loaded.diagnostics}, loaded.diagnostics[:3]
    with pytest.raises(PolicyErrors) as raised:
        load_policy(files)
    assert raised.value.diagnostics == loaded.diagnostics


def test_very_many_mistakes_end_in_an_answer() -> None:
    """Each is told; only the suggestions run out."""
    names = {f"thng:use{n}": {"on": ["thing"], "implies": [f"things:used{n}"]} for n in range(300)}
    loaded = load(render({**SMALL, "scopes.yaml": {"scopes": names}}))
    assert len(loaded.diagnostics) >= 300


def test_names_that_look_alike_in_python_stay_apart() -> None:
    """`a-b` and `a_b` are two types, whatever the generated code calls them."""
    files = render(
        {
            **SMALL,
            "scopes.yaml": {"scopes": {"things:use": {"on": ["a-b", "a_b"]}}},
            **{
                f"resources/{name}.yaml": {"resource": name, "unregistered": "allow", "default": default}
                for name, default in (("a-b", "allow"), ("a_b", "deny"))
            },
        }
    )
    snapshot = snapshot_of(program_of(files), FACTS)
    credential = Credential("verified", KEY.id, 1)
    asked = [Request(credential, "things:use", ResourceRef(name, "x", "acme")) for name in ("a-b", "a_b")]
    assert [decide(request, snapshot, NOW).allowed for request in asked] == [True, False]


def test_numbers_without_a_json_form_are_explained_as_text() -> None:
    """A double that a computation made infinite."""
    files = render(
        {
            **SMALL,
            "context.yaml": {"context": {"d": "double"}},
            "resources/thing.yaml": {**rule("request.context.d > 1.0"), "unregistered": "allow"},
        }
    )
    resource = ResourceRef("thing", "x", "acme")
    request = Request(Credential("verified", KEY.id, 1), "things:use", resource, context={"d": float("inf")})
    explanation = explain(request, snapshot_of(program_of(files), FACTS), NOW)
    assert json.dumps([check.values for check in explanation.checks], allow_nan=False)


@given(documents())
def test_what_loads_fits_its_schema(drawn: Documents) -> None:
    """An editor that checks against the schemas never underlines a valid file."""
    load_policy(render(drawn))
    published = schemas()
    for file, document in drawn.items():
        name = "resource" if file.startswith("resources/") else file.removesuffix(".yaml")
        assert list(jsonschema_rs.iter_errors(published[f"{name}.schema.json"], document)) == []


@given(st.sampled_from(sorted(schemas())))
def test_every_schema_is_one(name: str) -> None:
    """JSON Schema 2020-12."""
    assert jsonschema_rs.meta.is_valid(schemas()[name])
