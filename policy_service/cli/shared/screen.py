"""Where commands print. Answers go to standard output, everything said about them to standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, Final

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from policy_service.cli.shared.text import visible, visible_json, visible_json_text
from policy_service.model.spans import Diagnostic

_PIPE_WIDTH: Final = 10_000
"""Columns assumed in a pipe: nothing is ever cut off or wrapped for a program that reads us."""


def _console(stream: IO[str]) -> Console:
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=True)


class Screen:
    """Two streams. All data is escaped here, so no command can forget it.

    Args:
        out, err: default to the process's own.
    """

    def __init__(self, out: IO[str] | None = None, err: IO[str] | None = None) -> None:
        self._out = _console(out or sys.stdout)
        self._err = _console(err or sys.stderr)

    @property
    def is_terminal(self) -> bool:
        """Whether a person is watching the answers."""
        return self._out.is_terminal

    def line(self, text: str = "", style: str = "") -> None:
        """One line of an answer."""
        self._out.print(Text(visible(text), style=style))

    def parts(self, *parts: tuple[str, str]) -> None:
        """One line of an answer, of texts with a style each; in a pipe the texts alone."""
        self._out.print(Text.assemble(*((visible(text), style) for text, style in parts)))

    def block(self, text: str) -> None:
        """Lines of our own making, or of a file that an author asked to see."""
        self._out.print(Text(visible(text.rstrip("\n"), keep_lines=True)))

    def json(self, value: Any) -> None:
        """An answer for a program."""
        self._out.print(Text(visible_json(value)))

    def json_line(self, text: str) -> None:
        """A line of JSON: in a pipe byte for byte, on a terminal with nothing in it that could fool the eye."""
        if self.is_terminal:
            self._out.print(Text(visible_json_text(text)))
        else:
            self._out.file.write(f"{text}\n")

    def flush(self) -> None:
        """Let a reader of a pipe have what was printed."""
        self._out.file.flush()

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Aligned columns; ruled on a terminal, plain in a pipe. Absent values show as `-`."""
        rule = box.SIMPLE_HEAD if self.is_terminal else None
        table = Table(
            box=rule,
            show_edge=False,
            pad_edge=False,
            padding=(0, 2, 0, 0),
            header_style="bold" if self.is_terminal else "",
        )
        for header in headers:
            table.add_column(Text(header), overflow="fold", no_wrap=not self.is_terminal)
        for row in rows:
            table.add_row(*(_cell(value) for value in row))
        self._print(table)

    def _print(self, table: Table) -> None:
        if self.is_terminal:
            self._out.print(table, soft_wrap=False)
            return
        with self._out.capture() as captured:
            self._out.print(table, soft_wrap=False)
        # Padding helps nobody in a pipe, and makes transcripts and diffs noisy.
        self._out.file.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())

    def fields(self, rows: Iterable[tuple[str, object]]) -> None:
        """One item: a name and a value on each line."""
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(style="dim" if self.is_terminal else "", no_wrap=True)
        table.add_column(overflow="fold", no_wrap=not self.is_terminal)
        for name, value in rows:
            table.add_row(Text(name), _cell(value))
        self._print(table)

    def diagnostic(self, diagnostic: Diagnostic) -> None:
        """One mistake in a rule file, as an answer: `file:line:col: message @ $.path [code]`."""
        self._out.print(Text(visible(str(diagnostic)), style="yellow" if diagnostic.severity == "warning" else ""))

    def note(self, text: str) -> None:
        """Something worth knowing beside the answer."""
        self._err.print(Text(visible(text), style="dim" if self._err.is_terminal else ""))

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar that counts to `total`, on a terminal; nothing in a pipe. What it gives moves it on by so many."""
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self._err, disable=not self._err.is_terminal, transient=True) as bar:
            task = bar.add_task(visible(title), total=total)
            yield lambda steps: bar.advance(task, steps)

    def error(self, code: str, message: str) -> None:
        """The one line that says what went wrong and what to do."""
        line = Text.assemble(("error: ", "bold red"), visible(message), (f" [{code}]", "dim"))
        self._err.print(line)


def _cell(value: object) -> Text:
    if value is None or value == "":
        return Text("-", style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, list | tuple):
        return Text(visible(", ".join(map(str, value))) or "-")
    return Text(visible(str(value)))
