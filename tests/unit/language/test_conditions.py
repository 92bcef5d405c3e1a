"""Conditions of rule files: where their problems are shown, and the warnings that need the rule's effect."""

from __future__ import annotations

import pytest

from policy_service.language.load import load
from policy_service.model.spans import Diagnostic
from tests.unit.language.folders import CHAIN, small, thing


def warnings(when: str, *, effect: str = "deny", attributes: str = "{env: string}", head: str = "") -> list[str]:
    """The codes of all diagnostics of one rule with this condition."""
    rules = f"  - name: r\n    effect: {effect}\n    when: |\n      {when}\n"
    loaded = load(small(context="context: {ticket: string}\n", thing=head + thing(rules, attributes)))
    return [one.code for one in loaded.diagnostics]


def only(files: dict[str, str]) -> Diagnostic:
    """The one diagnostic of these files."""
    (found,) = load(files).diagnostics
    return found


@pytest.mark.parametrize(
    "when",
    [
        'has(resource.attr.env) && resource.attr.env == "prod"',
        'resource.id == "x" || (has(resource.attr.env) && resource.attr.env == "prod")',
        "has(resource.attr.env)",
        'has(request.context.ticket) && request.context.ticket == "x"',
    ],
)
def test_a_deny_rule_that_a_caller_can_step_around_is_warned_about(when: str) -> None:
    """Whoever leaves the guarded value out is not denied."""
    assert warnings(when) == ["omittable-guard"]
    assert warnings(when, effect="allow") == []


@pytest.mark.parametrize(
    "when",
    [
        '!has(resource.attr.env) || resource.attr.env == "prod"',
        'resource.id == "x"',
        'has(key.expires_at) && key.expires_at > timestamp("2099-01-01T00:00:00Z")',
        'has(resource.owner) && resource.owner == "x"',
        'has(resource.attr.env) && resource.attr.env == "prod" || !has(resource.attr.env)',
    ],
)
def test_a_deny_rule_that_nobody_can_step_around_is_not(when: str) -> None:
    """Absence denies as well, or the value is not the caller's to leave out."""
    assert warnings(when) == []


@pytest.mark.parametrize("attributes", ["{env: {type: string, from: store}}", "{env: {type: string, default: dev}}"])
def test_the_remedies_of_the_warning_silence_it(attributes: str) -> None:
    """`from: store` and a default."""
    assert warnings('has(resource.attr.env) && resource.attr.env == "prod"', attributes=attributes) == []


def test_the_owner_is_the_callers_word_where_unregistered_resources_are_let_in() -> None:
    """There a caller can leave it out as well."""
    when = 'has(resource.owner) && resource.owner == "x"'
    assert warnings(when, head="unregistered: allow\n") == ["omittable-guard"]


def test_a_chain_condition_that_a_caller_can_switch_off_is_warned_about() -> None:
    """An unsatisfied `when` makes the check not applicable."""
    condition = (
        "  - {check: condition, name: c, reason: r, when: has(request.context.ticket), require: 'key.id != \"x\"'}\n"
    )
    found = only(small(chain=CHAIN + condition, context="context: {ticket: string}\n"))
    assert (found.code, found.severity, found.path) == ("omittable-guard", "warning", "$.chain[7].when")


@pytest.mark.parametrize(
    "when",
    [
        "resource.attr.nope",
        "'resource.id == ''é'' && resource.attr.nope'",
        '"resource.id == \\"é\\" && resource.attr.nope"',
        '"resource.id == \\"\\u00e9\\" && resource.attr.nope"',
        "|\n      resource.id == 'é'\n        && resource.attr.nope",
        ">-\n      resource.id == 'é' &&\n      resource.attr.nope",
        "resource.id == 'é' &&\n      resource.attr.nope",
    ],
)
def test_a_problem_is_shown_at_its_line_and_column_in_the_file(when: str) -> None:
    """In every style of scalar, the span is that of the undeclared name as it stands in the file."""
    files = small(thing=thing(f"  - name: r\n    effect: deny\n    reason: x\n    when: {when}", "{env: string}"))
    found = only(files)
    lines = files["resources/thing.yaml"].splitlines()
    assert found.path == "$.rules[0].when"
    assert found.span.line == found.span.end_line
    assert lines[found.span.line - 1][found.span.column - 1 : found.span.end_column - 1] == "nope"


def test_a_comment_that_cuts_a_condition_off_is_named() -> None:
    """The author sees a condition in full; YAML saw half of it."""
    files = small(thing=thing('  - name: r\n    effect: deny\n    when: resource.id == "a #b"'))
    assert all("begins a comment" in one.message for one in load(files).diagnostics)


def test_conditions_without_a_type_read_no_attributes() -> None:
    """A chain condition must name the type whose attributes it reads."""
    condition = "  - {check: condition, name: c, reason: r, require: 'resource.attr.live'}\n"
    files = small(chain=CHAIN + condition, thing=thing("  []", "{live: {type: bool, default: true}}"))
    assert {one.path for one in load(files).diagnostics} == {"$.chain[7].require"}
    files["chain.yaml"] = CHAIN + condition.replace("reason: r", "reason: r, resource: thing")
    assert load(files).diagnostics == ()
