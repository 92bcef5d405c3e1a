"""The generated code is read by people: what it looks like, and what it never contains."""

from __future__ import annotations

import pytest

from policy_service.engine.conditions.emit import ConstantPool, emit_condition
from policy_service.engine.intervals import Intervals
from policy_service.language.ir import BOOL, Condition, Const
from tests.property.cel_agreement import compiled

READS = {
    "request.scope": "request.scope",
    "request.ip": "point",
    "principal.teams": "grants.teams",
    "resource.attr.s": "attributes[0]",
    "resource.attr.n": "attributes[1]",
    "key.scopes": "key.scopes",
}

GOLDEN = {
    'has(resource.attr.s) && resource.attr.s == "prod" && !("operators" in principal.teams)': """\
    attr_s = attributes[0]
    if attr_s is ABSENT:
        return False
    v1 = None if attr_s is WRONG else attr_s == 'prod'
    if v1 is False:
        return False
    if 'operators' in grants.teams:
        return False
    return v1
""",
    'request.scope == "a:b" || request.ip.inCidr("10.0.0.0/8")': """\
    if request.scope == 'a:b':
        return True
    return None if point is ABSENT or point is WRONG else 167772160 <= point <= 184549375
""",
    "resource.attr.n + 1 > 10": """\
    attr_n = attributes[1]
    return None if attr_n is ABSENT or attr_n is WRONG or (v1 := checked_int(attr_n + 1)) is None else v1 > 10
""",
    'key.scopes.exists(s, s.startsWith("pipelines:"))': """\
    if len(key.scopes) > ITERATION_BUDGET:
        return None
    v1 = False
    for each_s in key.scopes:
        if each_s.startswith('pipelines:'):
            v1 = True
            break
    return v1
""",
    '!has(resource.attr.s) || resource.attr.s in ["a", "b", "c"]': """\
    attr_s = attributes[0]
    if attr_s is ABSENT:
        return True
    return None if attr_s is WRONG else attr_s in {'a', 'b', 'c'}
""",
}


@pytest.mark.parametrize("text", GOLDEN)
def test_the_emitted_function_reads_like_one_written_by_hand(text: str) -> None:
    """What cannot fault is a plain expression; what can is computed into a name."""
    source = emit_condition("rule", compiled(text), parameters=("facts",), reads=READS, pool=ConstantPool())
    named = (
        GOLDEN[text].replace("    if len(key.scopes)", "    v2 = key.scopes\n    if len(v2)")
        if "exists" in text
        else None
    )
    expected = named.replace("in key.scopes:", "in v2:") if named else GOLDEN[text]
    assert source == f"def rule(facts):\n    # {text}\n{expected}"


@pytest.mark.parametrize("separator", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_a_line_break_in_the_text_does_not_end_the_comment(separator: str) -> None:
    """Python ends comments at some characters, and people's editors at more."""
    condition = Condition(f"true //{separator}raise SystemExit", Const(type=BOOL, value=True))
    source = emit_condition("rule", condition, parameters=(), reads={}, pool=ConstantPool())
    assert source.splitlines() == ["def rule():", "    # true // raise SystemExit", "    return True"]


def test_several_networks_become_one_set_of_intervals() -> None:
    """One bisection, however many networks an author lists under a name."""
    pool = ConstantPool()
    source = emit_condition(
        "rule", compiled('request.ip.inNetwork("vpn")'), parameters=("point",), reads=READS, pool=pool
    )
    assert "point in NETWORKS_VPN" in source
    assert isinstance(pool.values["NETWORKS_VPN"], Intervals)


def test_constants_never_share_a_name() -> None:
    """The same hint twice gives two names; a reserved name is nobody's."""
    pool = ConstantPool(reserved=("ABSENT",))
    names = [pool.add(int, "1", "absent"), pool.add(int, "2", "a-b"), pool.add(int, "3", "a b")]
    assert names == ["ABSENT_2", "A_B", "A_B_2"]
    assert pool.values == {"ABSENT_2": 1, "A_B": 2, "A_B_2": 3}
