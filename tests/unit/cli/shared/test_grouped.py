"""Options said once for several commands: what Typer sees, and what the command gets."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from policy_service.cli.shared.grouped import Group, spread

Size = Annotated[int, typer.Option("--size", metavar="N", help="How large.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="Of what kind.")]


class Shape(Group, frozen=True):
    """A group with an option that must be given, and one that may be."""

    size: Size
    tags: Tags = None

    def doubled(self) -> int:
        """Groups may have methods."""
        return 2 * self.size


def app_of(seen: list[Any]) -> typer.Typer:
    """One command, which notes what it gets."""
    app = typer.Typer(rich_markup_mode=None)

    @app.command()
    @spread
    def draw(
        context: typer.Context,
        *,
        name: Annotated[str, typer.Argument(metavar="NAME")],
        loud: Annotated[bool, typer.Option("--loud")] = False,
        shape: Shape,
        last: Annotated[str | None, typer.Option("--last")] = None,
    ) -> None:
        """Draw it."""
        seen.append((context.command_path, name, loud, shape, last))

    return app


def test_a_command_gets_its_groups_whole() -> None:
    """What was typed for the members comes as one object; what was not has the member's default."""
    seen: list[Any] = []
    runner = CliRunner()
    assert runner.invoke(app_of(seen), ["a", "--size", "3", "--tag", "x", "--tag", "y"]).exit_code == 0
    assert runner.invoke(app_of(seen), ["--loud", "--last", "z", "--size", "4", "b"]).exit_code == 0
    assert [one[1:] for one in seen] == [
        ("a", False, Shape(size=3, tags=["x", "y"]), None),
        ("b", True, Shape(size=4, tags=None), "z"),
    ]
    assert seen[0][3].doubled() == 6


def test_help_shows_the_members_where_the_group_stands() -> None:
    """In the order of the signature, with their own texts; of the group itself nothing is seen."""
    text = CliRunner().invoke(app_of([]), ["--help"]).stdout
    assert "Draw it." in text
    assert text.index("--loud") < text.index("--size N") < text.index("--tag") < text.index("--last")
    assert "How large." in text
    assert "shape" not in text


def test_a_member_without_a_default_must_be_given() -> None:
    """As with any option of a command."""
    result = CliRunner().invoke(app_of([]), ["a"])
    assert result.exit_code == 2
    assert "--size" in result.output


def test_two_options_of_one_name_are_refused_when_the_command_is_made() -> None:
    """One would silently win over the other."""
    with pytest.raises(ValueError, match="size"):

        @spread
        def draw(*, size: Size, shape: Shape) -> None:
            """Never made."""
