"""Theorems about the one layout: it keeps what a file says, comment for comment, and is a fixed point."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from policy_service.language.comments import comments_in
from policy_service.language.layout import WIDTH, lay_out
from policy_service.language.load import load
from policy_service.language.report import Report
from policy_service.language.yaml_reader import read_yaml
from tests.property.drawing import coin, pick
from tests.property.test_language import SEEDS, Files, check_place, spoiled_files
from tests.property.test_suite_files import suite_files

ROUGH = """

# top
chain:   
    # about credential

    -   check:  credential    # c1
        # inside, below
    -
        name:   x   # beside
        when:   >-      # head
              a &&

                 b
        # after the block
        list: [a,   # first
               b, [c,
                 d] ]   # end
        flow: {a: 1,
            b: [ ]}
        text: "several
             lines

             of it"
    # last of the list
# not of the list
other:
- {a: b,c: 'd # e'}
- - x
  - y:  # deep
     z: {aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, cccccccccccccccccccccccc: dddddddd}
- |

  x

empty:
#    tail
"""  # noqa: W291 - as an author's editor leaves it


def laid_out(text: str) -> str | None:
    """The file in the one layout."""
    return lay_out("a.yaml", text, Report())


def comments(text: str) -> list[str]:
    """The text of each."""
    return [comment.text for comment in comments_in(text, read_yaml("a.yaml", text, Report()))]


@st.composite
def rough_files(draw: st.DrawFn) -> Files:
    """Files as hands and editors leave them: blank lines, comments, other indentation."""
    files = dict(draw(spoiled_files() if coin(draw) else suite_files()))
    for name in sorted(files):
        if coin(draw, 3):
            files[name] = roughened(draw, files[name])
    return files


def roughened(draw: st.DrawFn, text: str) -> str:
    """The same with other white space, or another comment."""
    how = pick(draw, ("blank", "comment", "beside", "wide", "crlf", "trailing", "block"))
    lines = text.split("\n")
    at = pick(draw, range(len(lines)))
    if how == "blank":
        lines[at:at] = [""] * 3
    elif how == "comment":
        lines.insert(at, " " * pick(draw, range(9)) + "# a remark: [")
    elif how == "beside":
        lines[at] += "   # beside"
    elif how == "wide":
        lines = [re.sub("^ +", lambda match: match.group() * 2, line) for line in lines]
    elif how == "trailing":
        lines[at] += "  "
    elif how == "block":
        lines[at] = re.sub(
            r": (\[.*\]|\{.*\})$", lambda match: ":\n      " + match.group(1).replace(", ", ",\n        "), lines[at]
        )
    return ("\r\n" if how == "crlf" else "\n").join(lines)


@given(rough_files())
@example({"a.yaml": ROUGH})
def test_the_layout_keeps_what_is_said_and_is_a_fixed_point(files: Files) -> None:
    """What reads is laid out, with all its comments; what does not is told of at its place."""
    for file, text in files.items():
        report = Report()
        after = lay_out(file, text, report)
        for one in report.sorted():
            check_place(one, files)
        if after is None:
            assert report.has_errors()
            assert read_yaml(file, text, Report()) is None or [one.code for one in report.sorted()] != [
                "unusual-layout"
            ]
            continue
        assert comments(after) == comments(text.removeprefix("\ufeff").replace("\r\n", "\n"))
        assert laid_out(after) == after
        assert not any(line != line.rstrip() for line in after.split("\n"))
        assert after.endswith("\n")
        assert not after.startswith("\n")
        assert "\n\n\n" not in after or "|" in after or ">" in after or '"' in after or "'" in after


@given(spoiled_files())
def test_the_layout_changes_no_meaning(files: Files) -> None:
    """Laid out, a policy has the same digest, and its warnings; its mistakes are mistakes still."""
    before = load(files)
    if before.policy is None:
        return
    after = load({file: laid_out(text) or text for file, text in files.items()})
    assert after.policy is not None
    assert after.policy.digest == before.policy.digest
    assert sorted(one.code for one in after.diagnostics) == sorted(one.code for one in before.diagnostics)


def test_the_shipped_files_are_laid_out() -> None:
    """They are what the layout is like."""
    for file, text in SEEDS[0].items():
        assert laid_out(text) == text, file


def test_what_fits_stays_in_a_line_and_what_does_not_gets_lines() -> None:
    """At 120 characters."""
    item = "x" * 36
    fits = f"a: [{item}, {item}, {item}]\n"
    assert len(fits) - 1 <= WIDTH
    assert laid_out(fits) == fits
    assert laid_out(f"a: [{item}, {item}, {item}y, z]\n") == f"a:\n  - {item}\n  - {item}\n  - {item}y\n  - z\n"
    assert laid_out("[a,b]") == "[a, b]\n"
    assert laid_out("# x\nplain") == "# x\nplain\n"
    assert laid_out("") is None


def test_a_block_of_its_own_indentation_is_left_alone() -> None:
    """Moving it would change its text."""
    report = Report()
    assert lay_out("a.yaml", "a: |1\n    x\n", report) is None
    assert [one.code for one in report.sorted()] == ["unusual-layout"]
