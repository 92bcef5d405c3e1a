"""Theorems of any text at all as a condition: it is judged quickly, placed rightly, and never taken half."""

from __future__ import annotations

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from policy_service.language.cel.compiler import MAX_TEXT, ConditionCompiler
from policy_service.language.cel.literals import parse_duration
from policy_service.language.cel.messages import report_checker
from policy_service.language.cel.places import MAX_PROBLEMS, Places
from policy_service.language.cel.schema import build_schema
from policy_service.language.ir import STRING
from policy_service.language.policy import Attribute
from tests.property.cel_agreement import COMPILER
from tests.property.cel_expressions import ATTRIBUTES, CONTEXT, NETWORKS, condition
from tests.property.cel_mistakes import MISTAKES, unmarked

FRAGMENTS = (
    *(
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "'",
        '"',
        '"""',
        "\\",
        ".",
        ",",
        ":",
        "?",
        "&&",
        "||",
        "!",
        "==",
        "=",
        "&",
        "|",
        "in",
    ),
    *(
        "1",
        "1u",
        "9" * 20,
        "1e",
        "0x",
        ".5",
        "null",
        "b'x'",
        "r'",
        "resource",
        ".attr",
        "foo",
        "é",
        "日本",
        "😀",
        "\n",
        "\r",
    ),
    *(
        "\t",
        "\0",
        "\u2028",
        "//",
        "@",
        "`a`",
        "package",
        "while",
        "has(",
        "all(",
        ".map(x,",
        "dyn(",
        "type(",
        "bytes(",
        "size(",
    ),
    *(
        "timestamp(",
        '"\\ud800"',
        '"\\x"',
        ".?",
        "[?",
        "{?",
        "-",
        "policy.Ip{",
        "request.ip",
        ".inCidr(",
        "==",
        "\ud800",
    ),
)
BARE = ConditionCompiler(attributes=None, context=(), networks={})


@st.composite
def broken(draw: st.DrawFn) -> str:
    """A well-typed condition with pieces put in and taken out."""
    text = condition(lambda options: draw(st.integers(0, options - 1)), draw(st.integers(0, 2)))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        taken = draw(st.integers(0, 3))
        text = text[:start] + draw(st.sampled_from(("", *FRAGMENTS))) + text[start + taken :]
    return text


hostile = st.one_of(
    broken(),
    st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join),
    st.text(max_size=60),
    st.sampled_from([unmarked(marked)[0] for marked, _, _ in MISTAKES]),
)


WRITTEN_DOWN = (
    *(unmarked(marked)[0] for marked, _, _ in MISTAKES),
    *("key.scopes.all(x)", "resource.attr.s == 'a'", "(a(b(1)))", "(1)(2)", "has (resource)", "google.protobuf.X"),
    *("[1u].all(x, x == x) && (true ? 1u : 2u) == 3u", " || ".join(["zzz(1)"] * 100), "true" + " && true" * 511),
    *("(" * 4096, "!" * 4096 + "true", "-" * 4096, "[" * 4096, "a." * 2048, "zz(" * 1300, "a?" * 2000, '"' * 4095),
    "1" + "+1" * 2000 + "==1",
)
"""Every mistake of the table, and what is meant to exhaust somebody."""


def with_examples(test):  # type: ignore[no-untyped-def]  # hypothesis' decorators keep no types
    """These texts are tried each time, beside those that are drawn."""
    for text in WRITTEN_DOWN:
        test = example(text)(test)
    return test


@settings(max_examples=5 * settings().max_examples)
@with_examples
@given(hostile)
def test_a_text_is_a_condition_or_has_errors_within_it(text: str) -> None:
    """Never both, never neither; every problem is one lowercase line about a stretch of the text."""
    for compiler in (COMPILER, BARE):
        found, problems = compiler.compile(text)
        assert (found is None) == any(problem.severity == "error" for problem in problems)
        assert len(problems) <= MAX_PROBLEMS
        for problem in problems:
            assert 0 <= problem.offset <= problem.end_offset <= len(text)
            assert problem.message.isprintable()
            assert problem.message[0] == problem.message[0].lower()


@given(st.text(), st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 9), st.text()), max_size=4))
@example("", [])
@example("true", [(1, 1, "<<nil>> parsetree")])
def test_whatever_the_checker_says_something_is_told(text: str, said: list[tuple[int, int, str]]) -> None:
    """A new version of Google's checker may use new words: a condition is never dropped in silence."""
    places = Places(text)
    errors = "\n".join(f"ERROR: <input>:{line}:{column}: {message}" for line, column, message in said)
    report_checker(errors, text, build_schema((), ()), places)
    assert places.has_errors()
    assert all(problem.message.isprintable() and problem.offset <= len(text) for problem in places.sorted())


@given(st.integers(MAX_TEXT + 1, 2**22))
def test_a_text_beyond_the_bound_is_not_even_read(length: int) -> None:
    """The bound is told, and where it lies."""
    found, (problem,) = COMPILER.compile("(" * length)
    assert found is None
    assert (problem.code, problem.offset) == ("cel-too-long", MAX_TEXT)


@given(hostile, st.text(alphabet="é日😀 \n", max_size=8))
def test_what_stands_before_moves_places_by_code_points(text: str, before: str) -> None:
    """Offsets count code points, whatever the characters before."""
    prefix = f"key.id == '{before.replace(chr(10), '')}' &&\n ("
    _, alone = COMPILER.compile(f"{START}{text})")
    _, moved = COMPILER.compile(f"{prefix}{text})")
    if all(problem.code in CHECKED for problem in alone):
        shift = len(prefix) - len(START)
        inside = [(problem.offset + shift, problem.message) for problem in alone if problem.offset >= len(START)]
        assert inside == [(problem.offset, problem.message) for problem in moved if problem.offset >= len(prefix)]


START = "true && ("
CHECKED = ("cel-type", "cel-undeclared-name", "cel-bad-cidr", "cel-bad-pattern", "unguarded-attribute")
"""Problems that do not depend on how the parser lost its way."""

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name not in ("in", "true", "false", "null")
)


@given(st.sets(NAMES, min_size=1, max_size=6), st.sets(NAMES, max_size=3))
@example({"a_b", "aB", "package", "request", "has", "labels"}, {"a_b", "aB"})
@example({"x"}, set())
def test_every_name_of_an_attribute_can_be_read(names: set[str], context: set[str]) -> None:
    """Names that protobuf, CEL or Python might stumble over are just names."""

    compiler = ConditionCompiler(
        attributes=tuple(Attribute(name, STRING) for name in sorted(names)),
        context=tuple(Attribute(name, STRING) for name in sorted(context)),
        networks={},
    )
    for path in [f"resource.attr.{name}" for name in names] + [f"request.context.{name}" for name in context]:
        found, problems = compiler.compile(f"has({path}) && {path} == 'a'")
        assert found is not None, problems
        assert found.reads() == {path}


UNITS = {"h": 3_600_000_000_000, "m": 60_000_000_000, "s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}


@given(st.lists(st.tuples(st.integers(0, 999), st.sampled_from(sorted(UNITS))), min_size=1, max_size=4), st.booleans())
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]], negative: bool) -> None:
    """`1h30m` is 90 minutes; a sign counts for the whole."""
    text = ("-" if negative else "") + "".join(f"{count}{unit}" for count, unit in parts)
    total = sum(count * UNITS[unit] for count, unit in parts)
    assert parse_duration(text) == (-total if negative else total)


LITERALS = (
    *(
        '"a"',
        "'a'",
        '""',
        '"prod é 😀"',
        "'it is \"so\"'",
        '"//"',
        '"\\\\"',
        '"a\\nb"',
        'r"\\d"',
        'b"a"',
        '"""a"""',
        '"office"',
        '"vpn"',
    ),
    *(
        '"10.0.0.0/8"',
        '"10.0.0.1/8"',
        '"UTC"',
        '"Europe/Rome"',
        '"("',
        '"2026-01-31T09:00:00Z"',
        '"2026-01-31"',
        '"90s"',
        '"1x"',
    ),
    *("0", "1", "7", "007", "123456789012345678", "9223372036854775807", "9223372036854775808", "1u", "1.5", "0x1F"),
)
"""What may stand where another literal stood, well or badly."""
_SPOT = re.compile(r'"[^"]*"|(?<![\w.])\d+(?![\w.])')


@st.composite
def alike(draw: st.DrawFn) -> list[str]:
    """Texts that differ in what stands in the places of literals."""
    text = draw(st.one_of(texts_of_conditions(), broken(), st.sampled_from(SHAPES)))

    def another(match: re.Match[str]) -> str:
        return draw(st.sampled_from((match.group(), match.group(), *LITERALS)))

    return [text, *(_SPOT.sub(another, text) for _ in range(draw(st.integers(1, 4))))]


def texts_of_conditions() -> st.SearchStrategy[str]:
    """Well-typed conditions."""
    return st.composite(lambda draw: condition(lambda options: draw(st.integers(0, options - 1)), 2))()


SHAPES = (
    'resource.attr.s == "a" && resource.attr.n > 1 && resource.id.startsWith("b")',
    'request.time < timestamp( "2026-01-31T09:00:00Z") || request.time - request.time < duration("1h")',
    'key.labels["a"] == "b" || resource.id in ["a", "b", "c"] || -1 < resource.attr.n || - 1 == 1',
    'has(request.ip) && request.ip.inCidr("10.0.0.0/8") || request.ip.inNetwork("office")',
    'request.time.getHours("UTC") > 9 && resource.attr.n - 1 > 3 * 2',
    'resource.id.matches("a") && [1, 2].exists(x, x == 1) ? resource.id == "é" : "x" == \'x\'',
    'request.time < timestamp(1) && "a"=="a"&&1==1 // "b"',
    'resource.attr.x == 1.5 && 1e1 > 0.1 && 1e-5 < 1.0 && "a" + "b" == "ab" && "a" "b" == "c"',
)


def compiler_of_all() -> ConditionCompiler:
    """One that has compiled nothing yet, and sees all that conditions may read here."""
    return ConditionCompiler(attributes=ATTRIBUTES, context=CONTEXT, networks=NETWORKS)


@given(alike())
@example(['"a" == "a"', '"""" == "a"', '"" == "a"'])
@example(['r"a" == "a"', 'r"\\" == "a"', '"a" == r"a"', 'rb"a" == "a"'])
@example(["1 == 1", "9223372036854775808 == 1", "1 == 01", "1 == -1", "-9223372036854775808 == -1"])
@example(['resource.id == "a" // "b"', 'resource.id == "a" // "c\n"', 'resource.id == "//" && true'])
@example(['timestamp("2026-01-31T09:00:00Z") == request.time', 'timestamp("no") == request.time'])
@example(
    ['resource.attr.s == "a"', 'resource.attr.s == "aaaa"', 'resource.attr.s == "\ud800"', 'resource.attr.s == "😀"']
)
def test_a_shape_changes_nothing(texts: list[str]) -> None:
    """What was compiled before, and is remembered by its shape, makes no tree and no problem another."""
    one = compiler_of_all()
    for text in [*texts, *reversed(texts)]:
        assert one.compile(text) == compiler_of_all().compile(text), text
