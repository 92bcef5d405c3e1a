"""Generated text becomes a program that debuggers can read and that leaves nothing behind."""

from __future__ import annotations

import gc
import linecache
import traceback

import pytest

from policy_service.engine.emit import emit
from policy_service.engine.link import Linking, compile_policy, compiled
from policy_service.language.ir import BOOL, IP, STRING, Condition, InNetworks, Matches, Read
from policy_service.language.policy import Attribute
from policy_service.model.address import Network
from policy_service.model.facts import Resource
from tests.unit.engine.asking import answer, equals
from tests.unit.engine.worlds import DIGEST, World, api_key, ask, policy, resource_policy, rule

PLAIN = policy(resource_policy(rule("a", "allow")))


def test_tracebacks_show_the_generated_line() -> None:
    """An error in generated code shows the policy's digest, the part and the line of text."""
    program = compile_policy(PLAIN)
    with pytest.raises(AttributeError) as caught:
        program.decide(None, None, 0)  # type: ignore[arg-type]
    shown = "".join(traceback.format_exception(caught.value))
    assert f'File "<policy {DIGEST[:19]}… part 3.1>"' in shown
    assert "credential = request.credential" in shown


def test_lines_go_with_their_program() -> None:
    """A program that is no longer used takes its lines out of linecache, but never those of another one."""
    name = f"<policy {DIGEST[:19]}… part 3.1>"
    first = compile_policy(PLAIN)
    second = compile_policy(PLAIN)
    assert first.decide is not second.decide
    del first
    gc.collect()
    assert linecache.getlines(name)
    del second
    gc.collect()
    assert linecache.getlines(name) == []


def test_parts_of_another_policy_make_no_program() -> None:
    """What was compiled elsewhere is held to the policy that it came with."""
    emitted = emit(PLAIN)
    linking = Linking(DIGEST)
    for part in emitted.parts:
        linking.add(part, compiled(DIGEST, part))
    assert linking.count == len(emitted.parts)
    with pytest.raises(ValueError, match="the parts are not those"):
        linking.finished(policy(digest="sha256:" + "cd" * 32))
    with pytest.raises(ValueError, match="the parts are not those"):
        Linking("sha256:none").finished(PLAIN)
    linking.abandon()
    assert not [name for name in linecache.cache if DIGEST[:19] in name]


def test_no_two_sections_name_a_constant_alike() -> None:
    """Sections are emitted apart: a pattern of one type is never taken for that of another."""
    read = Read(type=STRING, path="resource.id")
    one, two = (
        resource_policy(
            rule("a", "allow", when=Condition("", Matches(type=BOOL, operand=read, pattern=name))), type_=name
        )
        for name in ("one", "two")
    )
    constants = [name for part in emit(policy(one, two)).parts for name in part.constants]
    assert len(constants) == len(set(constants)) == 2
    decides = compile_policy(policy(one, two)).decide
    namespace = decides.__globals__  # type: ignore[attr-defined]  # it is a function
    assert [namespace[name]("one") for name in constants] == [True, False]


@pytest.mark.parametrize("name", ["absent", "wrong", "on", "bundle", "credential", "revocation", "decision", "item_at"])
def test_names_of_networks(name: str) -> None:
    """A network may be called like a name of the generated module without changing what that means."""
    inside = InNetworks(
        type=BOOL,
        operand=Read(type=IP, path="request.ip"),
        networks=(Network(0, 9, ""), Network(20, 29, "")),
        label=name,
    )
    rules = [
        rule("a", "allow", when=Condition(f'request.ip.inNetwork("{name}")', inside)),
        rule("d", "deny", when=equals("resource.attr.env", "prod")),
    ]
    made = World(policy(resource_policy(*rules, attributes=[Attribute("env", STRING)])))
    made.put(Resource(workspace="acme", type="pipeline", id="etl-1"), api_key())
    assert answer(made, ask(source_ip="0.0.0.5", attributes={"env": "dev"})).reason == "allowed"
    assert answer(made, ask(source_ip="0.0.0.15", attributes={"env": "dev"})).reason == "resource_not_allowed"
    assert answer(made, ask(source_ip="0.0.0.5", attributes={"env": "prod"})).reason == "resource_denied"
    assert answer(made, ask(source_ip="0.0.0.5")).reason == "policy_error"
    assert answer(made, ask(key=None)).reason == "missing_credentials"
    assert answer(made, ask(scope="pipelines:fly")).reason == "unknown_scope"
    made.put(api_key(revoked_at=1))
    revoked = answer(made, ask())
    assert (revoked.reason, revoked.bundle) == ("revoked_key", DIGEST)
