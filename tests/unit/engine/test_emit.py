"""The generated text: deterministic, in the order of the chain, in parts, and no author's word becomes code."""

from __future__ import annotations

import random

import msgspec

from policy_service.engine.emit import CHUNK_LINES, emit
from policy_service.engine.link import compile_policy
from policy_service.language.ir import BOOL, STRING, Condition, Const
from policy_service.language.policy import Attribute, BuiltinCheck, ConditionCheck, Policy, ResourcePattern
from policy_service.model.facts import Resource
from tests.unit.engine.asking import answer, equals, is_true
from tests.unit.engine.worlds import (
    ORDER,
    SPAN,
    World,
    api_key,
    ask,
    policy,
    resource_policy,
    rule,
    with_conditions,
)

RULES = [
    rule("allow-all", "allow"),
    rule("by-scope", "allow", scopes=["pipelines:run", "pipelines:read"]),
    rule("by-id", "deny", ids=["b", "a", "c*", "a*"]),
    rule("flagged", "deny", when=is_true("resource.attr.flag"), reason="flagged"),
    rule("named", "deny", when=equals("resource.attr.name", "x")),
]
ATTRIBUTES = [Attribute("name", STRING), Attribute("flag", BOOL), Attribute("unused", STRING)]
FREEZE = ConditionCheck("freeze", is_true("request.context.flag"), "frozen", None, None, "pipeline", SPAN)
CONTEXT = [Attribute("flag", BOOL), Attribute("other", STRING)]


def text(one: Policy) -> str:
    return "".join(part.text for part in emit(one).parts)


def test_the_same_policy_gives_the_same_text() -> None:
    """The order of rules, attributes, patterns and catalogue entries leaves no trace."""
    base = policy(resource_policy(*RULES, attributes=ATTRIBUTES), order=with_conditions(FREEZE), context=CONTEXT)
    expected = text(base)
    chance = random.Random(7)
    for _ in range(20):
        rules, attributes, context = list(RULES), list(ATTRIBUTES), list(CONTEXT)
        for sequence in (rules, attributes, context):
            chance.shuffle(sequence)
        scopes = dict(chance.sample(sorted(base.scopes.items()), len(base.scopes)))
        shuffled = policy(
            resource_policy(*rules, attributes=attributes), order=with_conditions(FREEZE), context=context
        )
        shuffled = msgspec.structs.replace(shuffled, scopes=scopes)
        assert text(shuffled) == expected


def test_checks_stand_in_the_order_of_the_chain() -> None:
    """`decide` has one paragraph for each check, headed by its name."""
    order = [*ORDER[:3], BuiltinCheck("ip_allowlist"), FREEZE, *ORDER[3:6]]
    source = text(policy(resource_policy(attributes=ATTRIBUTES), order=order, context=CONTEXT))
    body = source[source.index("def decide(") :]
    headings = [line.removeprefix("    # ") for line in body.splitlines() if line.startswith("    # ")]
    assert headings == [f"condition {check.name!r}" if check is FREEZE else check.name for check in order]


def test_only_what_is_read_is_gathered() -> None:
    """Attributes and context that no condition reads do not appear."""
    source = text(policy(resource_policy(*RULES, attributes=ATTRIBUTES), context=CONTEXT))
    assert "'unused'" not in source
    assert "'other'" not in source
    assert "context" not in source


def test_many_rules_come_in_parts() -> None:
    """No part is much longer than the bound, and all of them together are the program's source."""
    many = policy(resource_policy(*(rule(f"r{n:04}", "allow", ids=[f"p{n}"]) for n in range(1000))))
    emitted = emit(many)
    assert len(emitted.parts) > 10
    assert all(part.text.count("\n") < CHUNK_LINES + 100 for part in emitted.parts)
    assert compile_policy(many).source == "".join(part.text for part in emitted.parts)


def test_a_policy_without_digest_is_labelled_by_its_text() -> None:
    """Two policies that were never published are told apart in tracebacks."""
    one, two = (emit(policy(resource_policy(default=default), digest="")) for default in ("allow", "deny"))
    assert one.label.startswith("sha256:")
    assert one.label != two.label


NASTY = 'x\'; raise SystemExit #\n"""\nraise SystemExit\n\\'


def test_no_word_of_an_author_becomes_code() -> None:
    """Quotes, line breaks and backslashes in messages, texts and ids stay inside literals and comments."""
    condition = Condition(NASTY, Const(type=BOOL, value=True))
    nasty_rule = rule("r", "deny", when=condition, message=NASTY)
    nasty_rule = msgspec.structs.replace(
        nasty_rule, name=NASTY, patterns=(ResourcePattern(NASTY), ResourcePattern("etl"))
    )
    freeze = ConditionCheck(NASTY, condition, "frozen", NASTY, condition, None, SPAN)
    made = World(policy(resource_policy(nasty_rule, default="allow"), order=with_conditions(freeze)))
    made.put(
        api_key(),
        Resource(workspace="acme", type="pipeline", id="etl"),
        Resource(workspace="acme", type="pipeline", id="x"),
    )
    decision = answer(made, ask(resource="pipeline:etl"))
    assert (decision.reason, decision.rule, decision.message) == ("resource_denied", NASTY, NASTY)
    assert answer(made, ask(resource="pipeline:x")).reason == "allowed"


def test_conditions_of_one_shape_share_a_function() -> None:
    """Written once, before the first of them; each gives it its own literals. One that is alone stands by itself."""
    rules = [
        rule("a", "allow", when=equals("resource.attr.name", "x")),
        rule("b", "deny", when=equals("resource.attr.name", "it's\n")),
        rule("c", "deny", when=is_true("resource.attr.flag")),
    ]
    found = text(policy(resource_policy(*rules, attributes=ATTRIBUTES)))
    assert found.count("def shape_1_of_pipeline(literal_1):") == 1
    assert "satisfied=shape_1_of_pipeline('x'),\n" in found
    assert 'satisfied=shape_1_of_pipeline("it\'s\\n"),\n' in found
    assert "def rule_2_of_pipeline(attributes):" in found
    assert "shape_2" not in found


def test_each_rule_asks_with_its_own_literals() -> None:
    """Though the function was written for another."""
    rules = [
        rule("a", "allow", when=equals("resource.attr.name", "x")),
        rule("b", "deny", when=equals("resource.attr.name", "y"), reason="no_y"),
        rule("c", "deny", when=equals("resource.attr.name", "z"), reason="no_z"),
    ]
    etl = Resource(workspace="acme", type="pipeline", id="etl")
    world = World(policy(resource_policy(*rules, attributes=ATTRIBUTES))).put(etl, api_key())
    asked = {name: answer(world, ask(resource="pipeline:etl", attributes={"name": name})).reason for name in "wxyz"}
    assert asked == {"w": "resource_not_allowed", "x": "allowed", "y": "no_y", "z": "no_z"}
