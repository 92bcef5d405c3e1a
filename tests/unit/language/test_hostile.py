"""Whatever the files hold, loading ends soon and answers with diagnostics."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.language.load import MAX_TOTAL, load
from tests.unit.language.folders import shipped, small

LAUGHS = "a: &a [lol]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
)
HOSTILE = {
    "billion-laughs": LAUGHS,
    "deep-flow": "[" * 100_000,
    "deep-flow-mappings": "{a: " * 50_000,
    "deep-block": "- " * 50_000 + "x",
    "deep-indentation": "".join(" " * n + "a:\n" for n in range(1_500)),
    "huge-plain": "a: " + "x" * 3_000_000,
    "huge-quoted": 'a: "' + "x" * 3_000_000 + '"',
    "huge-block": "a: |\n" + "  x\n" * 500_000,
    "many-items": "- a\n" * 300_000,
    "many-aliases": "[" + "*a," * 600_000 + "]",
    "many-keys": "{" + ",".join(f"k{n}: 1" for n in range(40_000)) + "}",
    "same-keys": "{" + ",".join("k: 1" for n in range(50_000)) + "}",
    "many-anchors": "[" + "&a b," * 400_000 + "]",
    "many-tags": "[" + "!a b," * 400_000 + "]",
    "binary": "".join(chr(n) for n in range(256)) * 2_000,
    "surrogates": "\ud800" * 100_000,
    "tabs": "\t" * 1_000_000,
    "question-marks": "? " * 100_000,
    "colons": ": " * 100_000,
    "comment": "#" * 4_000_000,
    "lines": "\n" * 4_000_000,
    "unknown-fields": "".join(f"field-number-{n}: 1\n" for n in range(15_000)),
    "unclosed": 'a: "' + "\n" * 100_000,
    "spaces": "a:" + " " * 1_000_000 + "b",
    "too-large": "a" * 5_000_000,
    "escapes": 'a: "' + "\\u0000" * 3_000 + '"',
    "long-cycle": "roles:\n" + "".join(f"  r{n}: {{inherits: [r{(n + 1) % 900}]}}\n" for n in range(900)),
    "dense-roles": "roles:\n"
    + "".join(f"  r{n}: {{inherits: [{', '.join(f'r{m}' for m in range(n))}]}}\n" for n in range(300)),
}


@pytest.mark.parametrize("file", ["roles.yaml", "resources/thing.yaml"])
@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_files_are_bounded_in_time(file: str, name: str) -> None:
    """No bomb expands, recurses or goes quadratic: each is answered in seconds of processor time."""
    start = time.process_time()
    loaded = load({**small(), file: HOSTILE[name]})
    assert time.process_time() - start < 20
    if (file, name) != ("roles.yaml", "dense-roles"):
        assert loaded.policy is None
    for diagnostic in loaded.diagnostics:
        assert len(str(diagnostic)) < 2_000


def test_the_total_is_bounded() -> None:
    """Many large files are too much as well."""
    one = "#" * 3_000_000
    files = {f"resources/t{n}.yaml": one for n in range(MAX_TOTAL // 3_000_000 + 1)}
    assert [d.code for d in load({**small(), **files}).diagnostics] == ["too-large"]


@given(st.dictionaries(st.sampled_from([*sorted(shipped()), "x.yaml", "resources/.yaml"]), st.text()))
def test_load_never_raises_on_arbitrary_text(files: dict[str, str]) -> None:
    """Any text in any file gives diagnostics."""
    assert load(files).policy is None


@given(st.binary(max_size=200))
def test_load_never_raises_on_arbitrary_bytes(content: bytes) -> None:
    """Bytes read leniently (surrogates for what is not UTF-8), or one code point for each."""
    for text in (content.decode("utf-8", "surrogateescape"), content.decode("latin-1")):
        loaded = load({**small(), "roles.yaml": text})
        assert (loaded.policy is None) == any(one.severity == "error" for one in loaded.diagnostics)


SHIPPED = shipped()
PIECES = [
    "",
    " ",
    "\n",
    "\t",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    '"',
    "'",
    "#",
    "&a",
    "*a",
    "!x",
    "|",
    ">",
    "no",
    "1e3",
    "é",
    "\ud800",
]


@given(
    st.sampled_from(sorted(SHIPPED)),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(PIECES)), min_size=1, max_size=4),
)
def test_load_never_raises_on_mutations_of_the_shipped_files(file: str, edits: list[tuple[float, int, str]]) -> None:
    """Pieces cut out and put in anywhere: a policy, or errors with places inside the file."""
    text = SHIPPED[file]
    for where, length, piece in edits:
        at = int(where * len(text))
        text = text[:at] + piece + text[at + length :]
    loaded = load({**SHIPPED, file: text})
    assert (loaded.policy is None) == any(one.severity == "error" for one in loaded.diagnostics)
    lines = text.count("\n") + 1
    for diagnostic in loaded.diagnostics:
        assert diagnostic.message.isprintable()
        assert diagnostic.span.line >= 1
        assert diagnostic.span.column >= 1
        assert diagnostic.span.file != file or diagnostic.span.line <= lines
