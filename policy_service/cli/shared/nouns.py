"""What the nouns have in common: the commands that all of them have, and how an answer of `/v1` is shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import typer

from policy_service.cli.shared.client import Api, connect, segment
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.options import AsJson, DataDir, Force, Limit, Url, Workspace
from policy_service.model.errors import UsageError
from policy_service.model.instants import parse_rfc3339

Column = tuple[str, Callable[[dict[str, Any]], Any]]
Id = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
Name = Annotated[str | None, typer.Option("--name", metavar="TEXT", help="For people. Not given: as it is.")]


def noun(help_text: str) -> typer.Typer:
    """An empty group of commands."""
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode=None)


def field(name: str, header: str | None = None) -> Column:
    """A column that shows one member as it is."""
    return header or name.replace("_", " "), lambda item: item.get(name)


def instant(name: str) -> Column:
    """A column that shows an instant to the second; JSON has it to the nanosecond."""
    return name.replace("_", " "), lambda item: to_the_second(item.get(name) or "")


def to_the_second(instant: str) -> str:
    """An RFC 3339 instant without its fraction."""
    return re.sub(r"\.\d+Z\Z", "Z", instant)


def ago(instant: str | None, now: int) -> str | None:
    """How long ago an RFC 3339 instant was, in its largest unit: `3d`, `5h`, `12m`, `8s`. None stays None."""
    then = None if instant is None else parse_rfc3339(instant)
    if then is None:
        return None
    seconds = max(0, now - then) // 1_000_000_000
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def add_list(app: typer.Typer, path: str, columns: Sequence[Column], help_text: str) -> None:
    """The command `list`."""

    def list_all(
        context: typer.Context,
        workspace: Workspace = None,
        limit: Limit = None,
        data_dir: DataDir = None,
        url: Url = None,
        as_json: AsJson = False,
    ) -> None:
        with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
            show_list(context.obj, api.pages(path, limit=limit), columns, as_json)

    app.command("list", help=help_text)(list_all)


def add_get(app: typer.Typer, path: str, columns: Sequence[Column], help_text: str) -> None:
    """The command `get`, for what one id names."""

    def get_one(
        context: typer.Context,
        name: Id,
        workspace: Workspace = None,
        data_dir: DataDir = None,
        url: Url = None,
        as_json: AsJson = False,
    ) -> None:
        with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
            show_one(context.obj, api.call("GET", f"{path}/{segment(name)}"), columns, as_json)

    app.command("get", help=help_text)(get_one)


def add_delete(app: typer.Typer, path: str, sentence: str, help_text: str) -> None:
    """The command `delete`, for what one id names. `sentence` says what was done, with `{}` for the id."""

    def delete_one(
        context: typer.Context,
        name: Id,
        force: Force = False,
        workspace: Workspace = None,
        data_dir: DataDir = None,
        url: Url = None,
        as_json: AsJson = False,
    ) -> None:
        with connect(context.obj, data_dir=data_dir, url=url, workspace=workspace) as api:
            answer = api.call("DELETE", f"{path}/{segment(name)}", params=forced(force))
            show_done(context.obj, answer, sentence.format(name), as_json)

    app.command("delete", help=help_text)(delete_one)


def forced(force: bool) -> dict[str, bool | None]:
    """The query parameter behind `--force`."""
    return {"force": force or None}


def kept(api: Api, path: str, given: dict[str, Any]) -> dict[str, Any]:
    """The body of a PUT, which replaces: what was not given (None) stays as it is; "" takes it away."""
    there = (api.find(path) or {"data": {}})["data"]
    body = {name: there.get(name) if value is None else value for name, value in given.items()}
    return {name: value for name, value in body.items() if value not in (None, "")}


def show_list(session: Session, answer: dict[str, Any], columns: Sequence[Column], as_json: bool) -> None:
    """A list as a table, or as the JSON that `/v1` answered."""
    screen = session.screen
    if as_json:
        screen.json(answer)
        return
    if not answer["data"]:
        screen.note("none")
        return
    screen.table([header for header, _ in columns], [[value(item) for _, value in columns] for item in answer["data"]])
    if answer.get("next_cursor"):
        screen.note(f"the first {len(answer['data'])}; there are more")


def show_one(session: Session, answer: dict[str, Any], columns: Sequence[Column], as_json: bool) -> None:
    """One item, a line for each member."""
    if as_json:
        session.screen.json(answer)
        return
    session.screen.fields([(header, value(answer["data"])) for header, value in columns])


def show_done(session: Session, answer: dict[str, Any], sentence: str, as_json: bool) -> None:
    """The result of a change: one sentence and the revision that has it."""
    if as_json:
        session.screen.json(answer)
    else:
        session.screen.line(f"{sentence} (revision {answer['revision']})")


def pairs(items: Iterable[str], option: str) -> dict[str, str]:
    """`name=value` options as a dict.

    Raises:
        UsageError: an item has no `=` or no name, or a name comes twice.
    """
    found: dict[str, str] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UsageError("usage", f"`{option} {item}` must be name=value")
        if name in found:
            raise UsageError("usage", f"`{option} {name}=…` is given twice")
        found[name] = value
    return found
