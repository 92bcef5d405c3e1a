"""Theorems about invariants.yaml: whatever stands in it, the answer is its statements or places in the text."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policy_service.language.invariants import (
    FILE,
    MAX_INVARIANTS,
    compile_statement,
    invariants_schema,
    load_invariants,
)
from policy_service.language.load import load_policy
from policy_service.model.spans import Diagnostic
from tests.property.drawing import coin, pick
from tests.property.test_language import SEEDS, Files, check_place, spoil

POLICY = load_policy(SEEDS[0])
SHIPPED = SEEDS[0][FILE]

ON_EVERY_TYPE = ("decision.allowed", 'request.scope == "pipelines:run"', "!facts.revoked || key.scopes.size() > 1")
ON_PIPELINES = (*ON_EVERY_TYPE, 'has(resource.attr.env) && resource.attr.env == "prod"')
TYPES: tuple[str | None, ...] = (None, "pipeline")

Item = dict[str, Any]


@st.composite
def items(draw: st.DrawFn, most: int = 5) -> list[Item]:
    """Good statements, each under a name of its own."""
    made: list[Item] = []
    for number in range(pick(draw, range(most + 1))):
        resource = pick(draw, TYPES)
        text = pick(draw, ON_EVERY_TYPE if resource is None else ON_PIPELINES)
        item: Item = {"name": f"promise-{number}", pick(draw, ("never", "always")): text}
        if resource is not None:
            item["resource"] = resource
        if coin(draw):
            item["description"] = "What  it\n promises"
        made.append(item)
    return made


def written(made: object) -> Files:
    return {FILE: yaml.safe_dump({"invariants": made}, sort_keys=False, width=60)}


@given(items())
def test_a_good_file_is_its_statements(made: list[Item]) -> None:
    """In order, each with its name, quantity, type and the meaning of its text; and the schema says that it is good."""
    loaded = load_invariants(written(made), POLICY)
    assert not loaded.diagnostics
    assert [one.name for one in loaded.invariants] == [item["name"] for item in made]
    for one, item in zip(loaded.invariants, made, strict=True):
        assert item[one.quantity] in ON_PIPELINES
        assert one.resource == item.get("resource")
        assert one.description == ("What it promises" if "description" in item else "")
        assert not one.is_builtin
        if one.resource is None:
            assert plain(one.statement) == plain(compile_statement(item[one.quantity], POLICY))


def plain(condition: object) -> object:
    return msgspec.to_builtins(condition, str_keys=True)


def mistaken(draw: st.DrawFn, made: list[Item]) -> tuple[object, str]:
    """The statements with one mistake among them, and the code that tells it."""
    at = pick(draw, range(len(made)))
    item = made[at]
    other = pick(draw, ("never", "always"))
    mistakes: dict[str, tuple[Item, str]] = {
        "neither": ({"name": item["name"]}, "missing-field"),
        "both": ({**item, "never": "true", "always": "true"}, "missing-field"),
        "nameless": ({key: value for key, value in item.items() if key != "name"}, "missing-field"),
        "unknown field": ({**item, "reason": "x"}, "unknown-field"),
        "odd name": ({**item, "name": "Not a name"}, "bad-name"),
        "no such type": ({**item, "resource": "pipelin"}, "unknown-resource-type"),
        "not a condition": ({"name": item["name"], other: "request.scope"}, "cel-not-bool"),
        "not typed": ({"name": item["name"], other: "request.scope == 1"}, "cel-type"),
        "no text": ({"name": item["name"], other: ["x"]}, "wrong-type"),
    }
    wrong, code = mistakes[pick(draw, sorted(mistakes))]
    return [*made[:at], wrong, *made[at + 1 :]], code


@given(items().filter(bool), st.data())
def test_one_mistake_is_told_and_nothing_is_concluded_from_the_rest(made: list[Item], data: st.DataObject) -> None:
    """By its code, at a place in the file."""
    wrong, code = data.draw(st.composite(mistaken)(made))
    files = written(wrong)
    loaded = load_invariants(files, POLICY)
    assert code in {one.code for one in loaded.diagnostics}, loaded.diagnostics
    assert loaded.invariants == ()
    for one in loaded.diagnostics:
        check_place(one, files)


@given(items().filter(bool))
def test_a_name_stands_once(made: list[Item]) -> None:
    """The second of a name is told, with the line of the first."""
    loaded = load_invariants(written([*made, dict(made[0])]), POLICY)
    assert [one.code for one in loaded.diagnostics] == ["duplicate-name"]
    assert "in line 2 already" in loaded.diagnostics[0].message
    assert loaded.invariants == ()


@given(st.sampled_from([None, "", 1, "text", {"a": 1}, ["text"], [[]], [None]]))
def test_what_is_no_list_of_statements_is_no_invariant(made: object) -> None:
    """Whatever YAML it is. No file at all is no mistake."""
    loaded = load_invariants(written(made), POLICY)
    assert loaded.diagnostics
    assert loaded.invariants == ()
    assert load_invariants({}, POLICY) == load_invariants({"roles.yaml": "x"}, POLICY)


def test_there_are_never_too_many() -> None:
    """One more than are read is a mistake, and none is read."""
    many = [{"name": f"n{number}", "never": "decision.allowed"} for number in range(MAX_INVARIANTS + 1)]
    loaded = load_invariants(written(many), POLICY)
    assert [one.code for one in loaded.diagnostics] == ["too-many"]
    assert loaded.invariants == ()


def spoilt(draw: st.DrawFn) -> Files:
    files = {FILE: SHIPPED}
    for _ in range(1 + pick(draw, range(4))):
        if files:
            spoil(draw, files)
    return files


@given(st.composite(spoilt)())
def test_reading_invariants_never_raises_and_every_mistake_has_a_place(files: Files) -> None:
    """Diagnostics in reading order, each inside its file; and statements only where there is no error."""
    loaded = load_invariants(files, POLICY)
    assert list(loaded.diagnostics) == sorted(loaded.diagnostics, key=Diagnostic.sort_key)
    for one in loaded.diagnostics:
        check_place(one, files)


def test_the_schema_takes_one_quantity() -> None:
    """Not both, not neither."""
    invariants = invariants_schema()["properties"]["invariants"]["items"]
    assert invariants["oneOf"] == [{"required": ["never"]}, {"required": ["always"]}]
