"""Tables are aligned and plain in a pipe; nothing from data is obeyed by a terminal."""

from __future__ import annotations

import io

from policy_service.cli.shared.screen import Screen


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_table_in_a_pipe_is_aligned_text() -> None:
    """No rules, no colours, no cut-off cells: `awk` and `grep` work on it."""
    out = io.StringIO()
    Screen(out, io.StringIO()).table(("id", "name"), [("ada", "Ada"), ("boris-the-long", None)])
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert lines == ["id              name", "ada             Ada", "boris-the-long  -"]


def test_long_cells_are_never_cut_or_wrapped_in_a_pipe() -> None:
    """A program that reads us gets every row on one line."""
    out = io.StringIO()
    Screen(out, io.StringIO()).table(("a", "b"), [("x" * 300, "y" * 300)])
    assert out.getvalue().splitlines()[1].split() == ["x" * 300, "y" * 300]


def test_markup_in_data_is_text() -> None:
    """A user called `[red]` is called `[red]`."""
    out = io.StringIO()
    screen = Screen(out, io.StringIO())
    screen.line("[red]x[/red] :smile:")
    screen.table(("[b]h[/b]",), [("[red]y",)])
    assert "[red]x[/red] :smile:" in out.getvalue()
    assert "[red]y" in out.getvalue()
    assert "[b]h[/b]" in out.getvalue()


def test_an_escape_sequence_in_a_name_never_reaches_the_terminal() -> None:
    """Only our own colours do."""
    out = Terminal()
    screen = Screen(out, Terminal())
    screen.table(("name",), [("\x1b]0;owned\x07",)])
    screen.fields([("name", "\x1b[2J")])
    screen.line("\u202egpj.exe")
    assert "\x1b]0" not in out.getvalue()
    assert "\x1b[2J" not in out.getvalue()
    assert "\u202e" not in out.getvalue()


def test_errors_go_to_standard_error_on_one_line() -> None:
    """With the code in brackets, so that it can be looked up."""
    out, err = io.StringIO(), io.StringIO()
    Screen(out, err).error("no_store", "there is no\nstore")
    assert out.getvalue() == ""
    assert err.getvalue() == "error: there is no\\x0astore [no_store]\n"


def test_lists_booleans_and_absent_values_are_words() -> None:
    """What a person reads, not Python's spelling."""
    out = io.StringIO()
    Screen(out, io.StringIO()).fields([("scopes", ["a", "b"]), ("suspended", True), ("parent", None), ("cidrs", [])])
    assert [line.split(maxsplit=1)[1].strip() for line in out.getvalue().splitlines()] == ["a, b", "yes", "-", "-"]
