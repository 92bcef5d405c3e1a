"""Theorems about reading rule files: whatever an author writes, the answer is a policy or places in the text."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from policy_service.engine.link import compile_policy
from policy_service.language.graphs import cycles
from policy_service.language.load import Loaded, ResourceFile, load, load_policy
from policy_service.language.memory import Memory
from policy_service.model.spans import Diagnostic
from tests.property.drawing import pick
from tests.property.policies import Documents, documents, render

ROOT = Path(__file__).parents[2]
Files = dict[str, str]


def read_folder(folder: Path) -> Files:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().decode()
        for path in sorted(folder.rglob("*.y*ml"))
        if ".schemas" not in path.parts
    }


SEEDS = (
    read_folder(ROOT / "policies"),
    *(read_folder(folder) for folder in sorted((ROOT / "tests/unit/language/golden").iterdir()) if folder.is_dir()),
)
"""The shipped policies, and the sets that show every mistake there is."""

TOKENS = (
    "yes",
    "on",
    "null",
    "~",
    "",
    "0x1F",
    "1_000",
    "1:30",
    "012",
    "1e3",
    ".inf",
    "2026-06-01",
    "&a b",
    "*a",
    "!tag x",
    "<<: {}",
    "? x",
    "[a, b]",
    "{a: b}",
    "[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]",
    '"quoted"',
    "'single'",
    "|\n    x == 1",
    "# c",
    "pipelines:run",
    "nobody:knows",
    "etl-*",
    "a*b",
    "10.0.0.0/8",
    "10.1.2.3/8",
    "any",
    "::ffff:1.2.3.4/120",
    "allow",
    "deny",
    "string",
    "list(int)",
    "map(int)",
    "condition",
    "credential",
    "missing_credentials",
    "é",
    "\ufeff",
    "\t",
    "\u202e",
    "\x85",
    "has(resource.attr.env)",
    'resource.attr.env == "prod"',
    "resource.attr.env == 1",
    "resource.atr.env",
    'request.ip.inCidr("x")',
    'request.ip.inNetwork("nowhere")',
    "request.ip == request.ip",
    "key.labels",
    "(",
    "1 +",
    "a.b(c)",
    '"%s".format([1])',
    "[1, 2].map(x, x)",
    'timestamp("x")',
    "request.time.getHours('Europe/Berlin')",
    '"a".matches("(")',
    "dyn(1) == 1",
    "{1: 2}",
    "x" * 300,
)
"""What authors write, and what they had better not."""


NAMES = ("chains.yaml", "resources/a/b.yaml", "resources/other.yaml", "roles.yml", "x.yaml")


def spoil(draw: st.DrawFn, files: Files) -> None:
    """One change to one file, such as a hand or an editor makes."""
    name = pick(draw, sorted(files))
    lines = files[name].split("\n")
    at = pick(draw, range(len(lines)))
    how = pick(draw, ("value", "value", "value", "delete", "repeat", "insert", "indent", "cut", "rename", "remove"))
    if how == "value":
        lines[at] = re.sub(r"([:-] ?).*", lambda match: match.group(1) + " " + pick(draw, TOKENS), lines[at], count=1)
    elif how == "delete":
        del lines[at]
    elif how == "repeat":
        lines.insert(at, lines[at])
    elif how == "insert":
        lines.insert(at, " " * pick(draw, range(5)) + pick(draw, TOKENS))
    elif how == "indent":
        lines[at] = " " * pick(draw, range(7)) + lines[at].lstrip()
    elif how == "cut":
        lines[at] = lines[at][: pick(draw, range(len(lines[at]) + 1))]
    text = "\n".join(lines)
    if how in ("rename", "remove"):
        text = files.pop(name)
        name = pick(
            draw, (name + "x", "chains.yaml", "resources/a/b.yaml", "resources/other.yaml", "roles.yml", "x.yaml")
        )
    if how != "remove":
        files[name] = text


@st.composite
def spoiled_files(draw: st.DrawFn) -> Files:
    """Valid rule files, or ones with mistakes, with up to three more."""
    files = dict(pick(draw, SEEDS[:1] * 3 + SEEDS))
    for _ in range(pick(draw, range(4))):
        if files:
            spoil(draw, files)
    return files


@given(spoiled_files())
def test_reading_never_raises_and_every_mistake_has_a_place_in_the_text(files: Files) -> None:
    """A policy if and only if there is no error; diagnostics in reading order, each inside its file."""
    loaded = load(files)
    assert (loaded.policy is None) == any(one.severity == "error" for one in loaded.diagnostics)
    assert list(loaded.diagnostics) == sorted(loaded.diagnostics, key=Diagnostic.sort_key)
    for one in loaded.diagnostics:
        check_place(one, files)
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", one.code)
        assert one.message
        assert one.message.isprintable(), one.message
        assert str(one).startswith(f"{one.span.file}:{one.span.line}:{one.span.column}: ")


def check_place(diagnostic: Diagnostic, files: Files) -> None:
    """The span lies in the text: lines exist, columns are at most one past the end."""
    span = diagnostic.span
    # Where a character does not belong into a file, lines are an editor's: others than line feeds are such characters.
    ends = r"\n" if diagnostic.code == "yaml-character" else r"\r\n|[\n\r\x85\u2028\u2029]"
    lines = re.split(ends, files.get(span.file, ""))
    assert 1 <= span.line <= span.end_line <= len(lines) + 1, diagnostic
    assert (span.line, span.column) <= (span.end_line, span.end_column), diagnostic
    for line, column in ((span.line, span.column), (span.end_line, span.end_column)):
        width = len(lines[line - 1]) if line <= len(lines) else 0
        assert 1 <= column <= width + 2, diagnostic


@given(spoiled_files(), st.randoms(use_true_random=False))
def test_reading_does_not_depend_on_the_order_of_files(files: Files, random: object) -> None:
    """Nor on anything else but their text."""
    shuffled = list(files.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert same(load(files), load(dict(shuffled)))


def same(one: Loaded, other: Loaded) -> bool:
    return one.diagnostics == other.diagnostics and one.policy == other.policy


@given(st.lists(spoiled_files(), min_size=2, max_size=3))
def test_remembering_changes_nothing(saves: list[Files]) -> None:
    """Whatever was read before, files come to what they come to when nothing was."""
    memory = Memory()
    for files in saves:
        assert same(load(files, memory), load(files))


@given(st.lists(spoiled_files(), min_size=1, max_size=2), st.randoms(use_true_random=False))
def test_reading_files_beside_each_other_changes_nothing(saves: list[Files], random: Random) -> None:
    """In any order, in another process (so: pickled): mistakes, their suggestions and the policy are the same."""

    def spread(read: Callable[[str], ResourceFile], files: list[str]) -> list[ResourceFile]:
        order = sorted(files, key=lambda _: random.random())
        found = {file: pickle.loads(pickle.dumps(read(file))) for file in order}
        return [found[file] for file in files]

    memory = Memory()
    for files in saves:
        assert same(load(files, memory, spread), load(files))


@given(spoiled_files())
def test_a_policy_that_loads_can_be_linked(files: Files) -> None:
    """No rule that is accepted breaks later, when somebody waits for a decision."""
    policy = load(files).policy
    if policy is not None:
        assert compile_policy(policy).digest == policy.digest


COSMETICS = (
    lambda text: "# a comment\n" + text,
    lambda text: text + "\n\n# the end\n",
    lambda text: "\ufeff" + text,
    lambda text: text.replace("\n", "\r\n"),
)


@given(documents(), st.data())
def test_the_digest_names_the_meaning_not_the_text(drawn: dict[str, dict[str, object]], data: st.DataObject) -> None:
    """Comments, line ends, descriptions and the order of names do not count."""
    files = render(drawn)
    reordered = {name: dict(reversed(document.items())) for name, document in drawn.items()}
    described = {**reordered, "scopes.yaml": {"scopes": with_descriptions(drawn["scopes.yaml"]["scopes"])}}
    cosmetic = data.draw(st.sampled_from(COSMETICS))
    changed = {name: cosmetic(text) for name, text in render(described).items()}
    assert load_policy(changed).digest == load_policy(files).digest


IN_THE_CUT = {"name": "in", "effect": "allow", "when": 'request.ip.inNetwork("cut")'}


@given(documents(), st.data())
def test_networks_are_the_addresses_in_them(drawn: dict[str, dict[str, object]], data: st.DataObject) -> None:
    """However they are cut, in any order, one inside another."""
    halves = ["10.0.0.0/9", "10.128.0.0/9", "10.3.0.0/16", "10.128.0.0/10"]
    cut = data.draw(st.permutations(halves))
    there = drawn["networks.yaml"]["networks"]
    assert isinstance(there, dict)
    whole, parts = (
        {
            **drawn,
            "networks.yaml": {"networks": {**there, "cut": cidrs}},
            "resources/gate.yaml": {"resource": "gate", "rules": [IN_THE_CUT]},
        }
        for cidrs in (["10.0.0.0/8"], cut)
    )
    assert load_policy(render(whole)).digest == load_policy(render(parts)).digest


@given(st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdefg"), max_size=3)))
def test_cycles_are_found_where_a_name_reaches_itself(graph: dict[str, set[str]]) -> None:
    """Each told is one, as short as can be; and each name that reaches itself is in the knot of one that is told."""
    found = cycles({name: sorted(targets) for name, targets in graph.items()})
    for way in found:
        assert way[0] == way[-1]
        assert len(set(way)) == len(way) - 1
        assert all(target in graph[name] for name, target in pairwise(way))
    reach = {name: reached(graph, name) for name in graph}
    told = {name for way in found for name in reach[way[0]] if way[0] in reach.get(name, ())}
    assert told == {name for name in graph if name in reach[name]}


def reached(graph: dict[str, set[str]], start: str) -> set[str]:
    """What can be reached in one step or more, the slow way."""
    found: set[str] = set()
    while new := {target for name in (start, *found) for target in graph.get(name, ()) if target in graph} - found:
        found |= new
    return found


MAPPINGS = {"scopes.yaml": "scopes", "roles.yaml": "roles", "networks.yaml": "networks", "context.yaml": "context"}


@given(documents(), st.sampled_from(sorted(MAPPINGS)), st.sampled_from(["3", "[a]", "x", "{a: [b]}", "{a: 3}"]))
def test_what_stands_for_a_mapping_is_told_at_its_place(drawn: Documents, file: str, instead: str) -> None:
    """A number, a list, a word where names and their fields belong."""
    files = {**render(drawn), file: f"{MAPPINGS[file]}: {instead}\n"}
    loaded = load(files)
    assert loaded.policy is None
    assert any(found.span.file == file for found in loaded.diagnostics)


def with_descriptions(scopes: object) -> object:
    assert isinstance(scopes, dict)
    return {name: {**scope, "description": "What it is for."} for name, scope in reversed(scopes.items())}


@given(documents(), st.data())
def test_what_changes_the_meaning_changes_the_digest(drawn: dict[str, dict[str, object]], data: st.DataObject) -> None:
    """A default, a rule with its reason and message, a role, the chain's order."""
    before = load_policy(render(drawn)).digest
    change = data.draw(st.sampled_from(CHANGES))
    copy = {name: dict(document) for name, document in drawn.items()}
    change(copy)
    assert load_policy(render(copy)).digest != before


def _flip_default(drawn: dict[str, dict[str, object]]) -> None:
    pipeline = drawn["resources/pipeline.yaml"]
    pipeline["default"] = "deny" if pipeline["default"] == "allow" else "allow"


def _flip_unregistered(drawn: dict[str, dict[str, object]]) -> None:
    pipeline = drawn["resources/pipeline.yaml"]
    pipeline["unregistered"] = "deny" if pipeline["unregistered"] == "allow" else "allow"


def _add_rule(drawn: dict[str, dict[str, object]]) -> None:
    rules = drawn["resources/pipeline.yaml"]["rules"]
    assert isinstance(rules, list)
    rule = {"name": "new", "effect": "deny", "reason": "brand_new", "message": "New."}
    drawn["resources/pipeline.yaml"]["rules"] = [*rules, rule]


def _swap_chain(drawn: dict[str, dict[str, object]]) -> None:
    chain = drawn["chain.yaml"]["chain"]
    assert isinstance(chain, list)
    drawn["chain.yaml"]["chain"] = [*chain[:3], *reversed(chain[3:])]


def _other_role(drawn: dict[str, dict[str, object]]) -> None:
    roles = drawn["roles.yaml"]["roles"]
    assert isinstance(roles, dict)
    drawn["roles.yaml"] = {"roles": {**roles, "newcomer": {"scopes": ["pipelines:read"]}}}


CHANGES = (_flip_default, _flip_unregistered, _add_rule, _swap_chain, _other_role)
