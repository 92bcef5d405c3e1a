"""Theorems of conditions: emitted code, interpreter and Google's CEL runtime are one language, faults included."""

from __future__ import annotations

import ast
from functools import reduce
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policy_service.engine.conditions.costs import by_cost, has_loop
from policy_service.engine.conditions.emit import ConstantPool, emit_condition
from policy_service.engine.conditions.evaluate import Fault, evaluate
from policy_service.engine.conditions.functions import FUNCTIONS
from policy_service.engine.conditions.operations import OPERATIONS
from policy_service.engine.conditions.runtime import PRELUDE
from policy_service.engine.conditions.shapes import Shape
from policy_service.language import ir
from policy_service.language.cel.calls import SUPPORTED
from policy_service.language.cel.compiler import ConditionCompiler
from policy_service.language.cel.guards import present_if
from policy_service.model.values import ABSENT, WRONG
from tests.property.cel_agreement import (
    COMPILER,
    FAULT,
    READS,
    by_cel,
    by_emitted,
    by_interpreter,
    compiled,
    linked,
    linked_by_shape,
)
from tests.property.cel_expressions import ATTRIBUTES, NETWORKS, OPTIONAL, TYPES, condition, values


@st.composite
def texts(draw: st.DrawFn, depth: int = 3) -> str:
    """Well-typed conditions."""
    return condition(lambda options: draw(st.integers(0, options - 1)), depth)


@st.composite
def readings(draw: st.DrawFn) -> dict[str, Any]:
    """Values for all that can be read."""
    return values(lambda options: draw(st.integers(0, options - 1)))


PLAIN = values(lambda options: 0)
"""Every value present and as plain as can be."""


def with_values(**changes: Any) -> dict[str, Any]:
    """Plain values but for these, by attribute name."""
    return {**PLAIN, **{f"resource.attr.{name}": value for name, value in changes.items()}}


@given(st.lists(texts(depth=2), min_size=2, max_size=5), st.sampled_from([" && ", " || "]), readings(), st.data())
def test_terms_in_order_of_cost_are_the_terms_as_written(
    terms: list[str], connective: str, read: dict[str, Any], data: st.DataObject
) -> None:
    """Faults and the budget of loops included; and among terms without loops there is no order at all."""
    kind: type[ir.And] | type[ir.Or] = ir.And if connective == " && " else ir.Or
    written = [compiled(f"({term})").expr for term in terms]
    outcome = interpreted(chained(kind, written), read)
    assert interpreted(chained(kind, by_cost(written)), read) == outcome
    loopless = [term for term in written if not has_loop(term)]
    if loopless:
        shuffled = data.draw(st.permutations(loopless))
        assert interpreted(chained(kind, shuffled), read) == interpreted(chained(kind, loopless), read)


def chained(kind: type[ir.And] | type[ir.Or], terms: list[ir.Expr]) -> ir.Expr:
    """The terms under one connective, from left to right."""
    return reduce(lambda left, right: kind(type=ir.BOOL, left=left, right=right), terms)


def interpreted(expr: ir.Expr, read: dict[str, Any]) -> object:
    """What it comes to; all faults are one."""
    outcome = evaluate(ir.Condition("", expr), read.__getitem__)
    return FAULT if isinstance(outcome, Fault) else outcome


def test_a_loop_stays_where_it_is_for_the_sake_of_the_budget() -> None:
    """Passed over by what costs less, the first loop would not be run, and the second one had all steps for itself."""
    big = "[" + ", ".join("0" for _ in range(60)) + "]"
    loop = f"{big}.all(a, {big}.all(b, a == b))"
    terms = [compiled(f"({text})").expr for text in (loop, "key.id == 'none'", "key.id == 'k1'", loop)]
    assert by_cost(terms) == terms
    dear = compiled("request.scope.matches('^p.*s$')").expr
    assert by_cost([dear, *terms, dear]) == [dear, *terms, dear]
    assert by_cost([terms[0], dear, *terms[1:3], terms[0]]) == [terms[0], *terms[1:3], dear, terms[0]]


EDGES = (
    "resource.attr.x / 0.0 > 1.0 || resource.attr.x / -0.0 < 0.0 || 0.0 / 0.0 == 0.0 / 0.0",
    "1e999 > resource.attr.x && -1e999 < resource.attr.x",
    "[0.0 / 0.0] == [0.0 / 0.0] || (0.0 / 0.0) in [0.0 / 0.0] || [[1.5]] != [[1.5]] || [1.0, 2.0] == [1.0]",
    "(-7) / 2 == -3 && (-7) % 2 == -1 && 7 / (-2) == -3 && 7 % (-2) == 1",
    "resource.attr.n / 0 == 1 || resource.attr.n % 0 == 1",
    "(-9223372036854775808) / (-1) == 1 || (-9223372036854775808) % (-1) == 0",
    "int(9.3e18) == 1 || int(-1.9) == -1",
    'int(" +7 ") == 7 && int("9223372036854775808") == 1',
    'bool("TRUE") && !bool("f") && bool("yes")',
    'string(duration("-1.5s")) == "-1.500s" && string(duration("90s")) == "90s" && string(true) == "true"',
    'timestamp("9999-12-31T23:59:59Z") + duration("1s") > request.time || true',
    'timestamp("9999-12-31T23:59:59Z") - timestamp("0001-01-01T00:00:00Z") > duration("1s")',
    'timestamp("2262-04-11T23:47:16.9Z") - timestamp("1970-01-01T00:00:00.1Z") > duration("1s")',
    'duration("-1.5s").getMilliseconds() == -500 && duration("-1.5h").getHours() == -1',
    "resource.attr.ns[-1] == 1 || resource.attr.ns[3] == 1 || resource.attr.ns == [] && resource.attr.ns.size() == 0",
    'key.labels["none"] == "a" || "a" in key.labels && has(key.labels.a) && key.labels.a == "b"',
    "has(request.scope) && has(request.ip) && has(key.labels)",
    '!(has(resource.attr.s) && resource.attr.s == "a") && !(!has(resource.attr.n) || resource.attr.n == 0)',
    "!(!(resource.attr.n == 0)) || !(resource.attr.b ? resource.attr.c : resource.attr.n == 1)",
    '(has(resource.attr.s) ? resource.attr.s : "none") == "a"',
    "(resource.attr.b || resource.attr.n == 1) == (true && false && resource.attr.c)",
    "(resource.attr.b && resource.attr.n == 1 && true) == (false || true || request.scope == key.id)",
    '((request.scope == "a" || key.kind == "b") && resource.attr.b) == true',
    '(request.scope == "a" ? key.kind : key.id) == "user" && (true ? 1 : 2) < 3',
    '((key.scopes.exists(e, e == "a") && key.kind == "a") || resource.attr.b) == true',
    "resource.attr.ns.exists(e, 1 / e == 1) || resource.attr.ns.all(e, 1 / e == 1)",
    "resource.attr.ns.exists_one(e, 1 / e == 1) || key.scopes.exists_one(e, e.size() == 1)",
    "resource.attr.ns.map(e, 1 / e) == [1] || resource.attr.ns.map(e, 1 / e == 1, e) == [1]",
    "resource.attr.ns.filter(e, resource.attr.bs.all(f, f)) == resource.attr.ns.map(e, e % 2 == 0, e / e)",
    'key.labels.map(e, e + "a") == ["aa"] || key.labels.filter(e, e < "b").size() == 1 || key.labels.all(e, e != "")',
    "key.scopes.map(e, e.size()).filter(e, e > 1).size() == 0 && key.scopes.map(e, e > '', e) == key.scopes",
    'resource.attr.ss.all(e, e.contains("a") || bool(e))',
    'resource.attr.s in ["a", "b", "prod"] && !(resource.attr.s in ["a"]) && 1 in [1, 2, 3]',
    'resource.attr.s.matches("^[é日]") && matches(resource.attr.s, "a") || resource.attr.s.size() == 2',
    'request.ip.inCidr("10.0.0.0/8") && request.ip.inNetwork("vpn") && !request.ip.inNetwork("vpn")',
    'request.time.getHours("UTC") == 12 && request.time.getSeconds("UTC") == 0 && resource.attr.t.getDayOfWeek() == 1',
    'duration(duration("1s")) < duration("2s") && string("a") == "a" && timestamp(resource.attr.n) == resource.attr.t',
    "!(resource.attr.n == 0 && !(resource.attr.b || !resource.attr.c) && !(!(resource.attr.n == 1)))",
    "!(resource.attr.n == 0 || !(resource.attr.b && key.scopes.all(e, key.scopes.exists(f, e == f))))",
    "resource.attr.x / 2.0 > 0.1 && (0.0 / 0.0) / 0.0 != 1.0 && (1.0 / resource.attr.x) / 0.0 > 1.0",
    "resource.attr.t.getFullYear() == 2024 && resource.attr.t.getMonth() == 1 && resource.attr.t.getDate() == 29",
    "resource.attr.t.getDayOfYear() == 59 && resource.attr.t.getDayOfMonth() == 28",
    "resource.attr.t.getDayOfWeek() == 4 && request.time.getDayOfWeek() == 4",
    "resource.attr.t.getMinutes() == 30 && resource.attr.t.getSeconds() == 45",
    "resource.attr.t.getMilliseconds() == 123 || resource.attr.t.getHours() == 12",
    "((true ? false : true) ? [1] : [2]) == [1] || ((false ? true : 1 < 2) ? 1 : (true ? 2 : 3)) == 2",
    "resource.attr.b ? resource.attr.n / 0 == 1 : resource.attr.n == 0",
    "(resource.attr.n == 0 ? resource.attr.x : 1.0) == 0.0 && (resource.attr.b ? key.scopes.all(e, bool(e)) : true)",
    'key.scopes.exists(lambda, lambda == \'é{}\\n"\\\\\') || \'a\' == """b\nc""" // and\u2028a comment',
)
"""Where languages differ, each written down once; the drawn ones come on top."""

MISSING = with_values(**dict.fromkeys((attribute.name for attribute in ATTRIBUTES), ABSENT))
MISTAKEN = with_values(**dict.fromkeys((attribute.name for attribute in ATTRIBUTES), WRONG))
FULL = with_values(
    ns=(0, 1, 2),
    ss=("a", "true", "é"),
    bs=(True, False),
    s="日本",
    xs=(1.0, 2.5),
    n=7,
    x=1.5,
    b=True,
    t=1_709_209_845_123_456_789,
) | {"key.labels": {"a": "a", "b": "é"}, "key.scopes": ("a", "", "pipelines:run"), "principal.teams": ("a",)}


@pytest.mark.parametrize("text", EDGES)
def test_edges_agree(text: str) -> None:
    """The known edges give one result three ways, with plain, full, missing and mistaken values."""
    tree = compiled(text)
    for reading in (PLAIN, FULL, MISSING, MISTAKEN):
        expected = by_cel(text, reading)
        assert (by_emitted(tree, reading), by_interpreter(tree, reading)) == (expected, expected), reading


@settings(max_examples=5 * settings().max_examples)
@given(texts(), readings())
def test_emitted_equals_interpreted(text: str, reading: dict[str, Any]) -> None:
    """The compiled condition and its explanation never disagree."""
    tree = compiled(text)
    assert by_emitted(tree, reading) == by_interpreter(tree, reading)


@settings(max_examples=5 * settings().max_examples)
@given(texts(), readings())
def test_emitted_equals_the_cel_runtime(text: str, reading: dict[str, Any]) -> None:
    """The compiled condition means what Google's runtime says it means, faults included."""
    assert by_emitted(compiled(text), reading) == by_cel(text, reading)


@settings(max_examples=3 * settings().max_examples)
@given(texts(), readings())
@example("[1, 2, 3].exists(literal_1, literal_1 == 2) && [1, resource.attr.n].exists(e, e == -7)", PLAIN)
@example('request.time - request.time < duration("1s") && (true ? "a" : "b") + "c" == "ac" && 1 + 2 - 3 * 4 < 0', PLAIN)
@example('resource.attr.s in ["a", "b", "c"] && "a" in [resource.attr.s, "b"] && key.labels["a"] == "b"', PLAIN)
def test_shared_functions_are_the_conditions_own(text: str, reading: dict[str, Any]) -> None:
    """A function written for another condition of the shape, given this one's literals, answers as this one does."""
    mine = compiled(text)
    other = ir.Condition("another text", with_other_literals(mine.expr))
    assert Shape.of(other.expr).key == Shape.of(mine.expr).key
    outcome = linked_by_shape(other, mine)(reading)
    assert (FAULT if outcome is None else outcome) == by_interpreter(mine, reading)


OTHERS = {ir.INT: 99, ir.STRING: "zz", ir.TIMESTAMP: 99, ir.DURATION: 99}


def with_other_literals(node: Any) -> Any:
    """The tree with each literal of these types another one, but for lists of literals."""
    if isinstance(node, ir.Const):
        return msgspec.structs.replace(node, value=OTHERS.get(node.type, node.value), offset=0)
    if isinstance(node, ir.ListOf) and all(isinstance(item, ir.Const) for item in node.items):
        return node
    fields = {name: getattr(node, name) for name in node.__struct_fields__}
    changed = {name: with_other_literals(one) for name, one in fields.items() if isinstance(one, ir.Node)}
    for name, many in fields.items():
        if isinstance(many, tuple) and many and isinstance(many[0], ir.Node):
            changed[name] = tuple(map(with_other_literals, many))
    return msgspec.structs.replace(node, **changed)


@given(texts(depth=4), readings(), st.integers(0, 8))
@example("[1].all(e, [2].all(f, true))", PLAIN, 1)
@example("[1].all(e, true)", PLAIN, 0)
@example("[1, 2].exists(e, e == 1) || true", PLAIN, 1)
def test_the_budget_is_one_for_both(text: str, reading: dict[str, Any], budget: int) -> None:
    """Emitted code and interpreter run out of steps together."""
    tree = compiled(text)
    assert by_emitted(tree, reading, budget) == by_interpreter(tree, reading, budget)


@given(texts(), readings(), st.integers(0, 3))
def test_an_exceeded_budget_is_a_fault_that_nothing_absorbs(text: str, reading: dict[str, Any], spare: int) -> None:
    """Once a macro costs more than there is, no `||` makes up for it."""
    tree = compiled(f"[1, 2, 3, 4].exists(e, true) || {text}")
    assert by_emitted(tree, reading, spare) == FAULT
    assert by_interpreter(tree, reading, spare) == FAULT


@given(texts(), readings())
def test_emitted_code_uses_known_names_only_and_never_raises(text: str, reading: dict[str, Any]) -> None:
    """Generated code is a single function; whatever it reads, it answers True, False or None."""
    outcome = linked(compiled(text))(reading)
    assert outcome in (True, False, None)


@given(texts(), readings())
def test_has_never_faults(text: str, reading: dict[str, Any]) -> None:
    """`has()` of every optional value is plainly true or false."""
    for path in sorted(OPTIONAL):
        assert by_emitted(compiled(f"has({path})"), reading) == (reading[path] is not ABSENT)


@given(texts(), readings())
def test_a_condition_without_warning_never_faults_for_absence(text: str, reading: dict[str, Any]) -> None:
    """Unguarded reads are all warned of: without a warning, an absent value is no fault."""
    tree, problems = COMPILER.compile(text)
    assert tree is not None
    fault = evaluate(tree, reading.__getitem__)
    if isinstance(fault, Fault) and "is absent" in fault.message:
        assert any(fault.message.split(" ", 1)[0] in problem.message for problem in problems)


@given(texts(), readings(), st.booleans())
def test_what_a_truth_requires_is_really_required(text: str, reading: dict[str, Any], truth: bool) -> None:
    """A guard `has(x) &&` found in a condition makes it plainly the opposite when x is absent."""
    tree = compiled(text)
    for path in present_if(truth, tree.expr) & OPTIONAL:
        assert by_interpreter(tree, {**reading, path: ABSENT}) is not truth


@given(texts())
def test_the_tree_is_typed_and_placed(text: str) -> None:
    """Every node knows its type and stands within the text; variables are unique; every read is declared."""
    tree = compiled(text)
    nodes = list(ir.walk(tree.expr))
    assert tree.expr.type == ir.BOOL
    assert all(0 <= node.offset < len(text) for node in nodes)
    assert all(node.type == TYPES[node.path] for node in nodes if isinstance(node, ir.Read))
    variables = [node.variable for node in nodes if isinstance(node, ir.Quantifier | ir.Transform)]
    assert len(variables) == len(set(variables))
    assert tree.reads() <= set(READS)


def test_every_function_is_known_to_the_checker_the_emitter_and_the_interpreter() -> None:
    """What loads can be emitted and interpreted; nothing is there that cannot be written."""
    assert set(OPERATIONS) == set(FUNCTIONS) == SUPPORTED


@given(st.from_regex(r"[a-z][a-z0-9_-]{0,12}", fullmatch=True))
@example("absent")
@example("iteration_budget")
@example("networks_office")
def test_no_name_of_a_network_meets_a_name_of_ours(name: str) -> None:
    """Constants named after networks leave the prelude, and one another, alone."""
    compiler = ConditionCompiler(attributes=ATTRIBUTES, context=(), networks={name: NETWORKS["vpn"], "x": ()})
    text = (
        f'has(resource.attr.s) && resource.attr.s == "a" || request.ip.inNetwork("{name}") || request.ip.inNetwork("x")'
    )
    tree, _ = compiler.compile(text)
    assert tree is not None
    pool = ConstantPool()
    source = emit_condition("judge", tree, parameters=("values",), reads=READS, pool=pool)
    assert not set(pool.values) & set(PRELUDE)
    namespace: dict[str, Any] = {**PRELUDE, **pool.values}
    exec(compile(source, "<emitted condition>", "exec"), namespace)
    for missing in (ABSENT, WRONG):
        reading = {"resource.attr.s": missing, "request.ip": 0}
        assert namespace["judge"](reading) == (None if missing is WRONG else False)


def alternating(levels: int) -> str:
    """`(n == 0 && (n == 0 || (n == 0 && …)))`, each level of which may fault."""
    text = "resource.attr.n == 0"
    for level in range(levels):
        text = f"(resource.attr.n == {level} {('&&', '||')[level % 2]} {text})"
    return text


LARGEST = (
    alternating(28),
    "(" * 14 + "resource.attr.n" + " + 1) * 1" * 14 + " > 0",
    "!(" * 29 + "resource.attr.b" + ")" * 29,
    " && ".join(["resource.attr.b"] * 200),
    " || ".join(["!resource.attr.b && resource.attr.c"] * 100),
    f"resource.attr.n in [{', '.join(str(number) for number in range(500))}]",
    "(resource.attr.b ? " * 14 + "true" + " : resource.attr.c)" * 14,
    "resource.attr.ns.all(a, resource.attr.ns.all(b, resource.attr.ns.all(c, resource.attr.ns.all(d, "
    "resource.attr.ns.all(e, resource.attr.ns.all(f, a / b == c / d && e / f == 1))))))",
)


@pytest.mark.parametrize("text", LARGEST)
def test_the_deepest_and_longest_conditions_agree(text: str) -> None:
    """What the checker's bounds let through, Python's compiler takes as well."""
    tree = compiled(text)
    for reading in (PLAIN, FULL, MISSING):
        expected = by_cel(text, reading)
        assert (by_emitted(tree, reading), by_interpreter(tree, reading)) == (expected, expected)


@given(st.text())
def test_no_text_of_an_author_becomes_code(comment: str) -> None:
    """Comments and literals are carried over as data: the emitted function has one return and no other names."""
    literal = "".join(f"\\U{ord(char):08x}" for char in comment if not "\ud800" <= char <= "\udfff")
    text = f'key.id == "{literal}" // {comment}'
    tree, problems = COMPILER.compile(text)
    if tree is not None:
        assert by_emitted(tree, {"key.id": ast.literal_eval(f'"{literal}"')}) is True
    else:
        assert problems
