"""`changes`: the audit trail. Who changed what, when, from what to what."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer

from policy_service.cli.shared.client import connect
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.grouped import spread
from policy_service.cli.shared.nouns import field, instant, noun, show_list
from policy_service.cli.shared.options import AsJson, DataDir, Limit, Url, Workspace
from policy_service.cli.shared.period import Period
from policy_service.cli.shared.screen import Screen
from policy_service.model.instants import MAX_NS, MIN_NS, format_rfc3339

app = noun("Who changed what, when.")

_DIGEST: Final = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")
"""Shortened in tables: JSON has them whole."""

_TIMES: Final = re.compile(r".*_at|not_before", re.ASCII)
"""Members of facts that are instants, in nanoseconds."""

_COLUMNS: Final = (
    field("revision"),
    instant("at"),
    field("actor"),
    field("action"),
    field("workspace"),
    ("subject", lambda item: _DIGEST.sub(r"\1…", item["subject"])),
    field("note"),
)
_FIELDS: Final = (*_COLUMNS[:1], ("at", lambda item: item["at"]), *_COLUMNS[2:5], field("subject"), field("note"))

Actor = Annotated[str | None, typer.Option("--actor", metavar="WHO", help="Made by `key:<id>` or `local:<uid>`.")]
Action = Annotated[str | None, typer.Option("--action", metavar="NAME", help="That did this, such as api_key.revoke.")]
Entity = Annotated[str | None, typer.Option("--entity", metavar="KIND", help="About this kind of fact, such as user.")]
Subject = Annotated[str | None, typer.Option("--subject", metavar="ID", help="About this one.")]
After = Annotated[int | None, typer.Option("--after", min=0, metavar="REV", help="Only later revisions.")]
Newest = Annotated[bool, typer.Option("--newest", help="The newest first.")]


@app.command("list")
@spread
def list_changes(
    context: typer.Context,
    *,
    actor: Actor = None,
    action: Action = None,
    entity: Entity = None,
    subject: Subject = None,
    period: Period,
    after: After = None,
    newest: Newest = False,
    workspace: Workspace = None,
    limit: Limit = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List the changes, oldest first.

    Of one workspace, or of all for the operator.
    """
    session: Session = context.obj
    asked = {
        "actor": actor,
        "action": action,
        "entity": entity,
        "subject": subject,
        **period.texts(session.environment.now()),
        "after": after,
        "order": "newest" if newest else None,
    }
    with connect(session, data_dir=data_dir, url=url, workspace=workspace, of_workspace=False) as api:
        show_list(session, api.pages("changes", params=asked, limit=limit), _COLUMNS, as_json)


@app.command("show")
def show_change(
    context: typer.Context,
    revision: Annotated[int, typer.Argument(metavar="REV", min=1, max=(1 << 63) - 1, show_default=False)],
    workspace: Workspace = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show one change: every fact that it altered, from → to."""
    session: Session = context.obj
    with connect(session, data_dir=data_dir, url=url, workspace=workspace, of_workspace=False) as api:
        answer = api.call("GET", f"changes/{revision}")
    if as_json:
        session.screen.json(answer)
        return
    change = answer["data"]
    session.screen.fields([(header, value(change)) for header, value in _FIELDS])
    for effect in change["effects"]:
        show_effect(session.screen, effect)


def show_effect(screen: Screen, effect: dict[str, Any]) -> None:
    """One fact: `+` it is new, `-` it is gone, `~` it is another; under it what differs, a line for each member.

    The marks say all that the colours of a terminal say.
    """
    before, after = effect["before"], effect["after"]
    mark, style = ("+", "green") if before is None else ("-", "red") if after is None else ("~", "yellow")
    screen.line()
    screen.parts((f"{mark} {effect['entity']} {'/'.join(effect['key'])}", f"bold {style}"))
    for name, old, new in differences(before or {}, after or {}):
        if before is None or after is None:
            screen.parts((f"    {name}: ", ""), (new if before is None else old, style))
        else:
            screen.parts((f"    {name}: ", ""), (old, "red"), (" → ", "dim"), (new, "green"))


def differences(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Each member that differs, with its text before and after, in the order of the fact."""
    for name in dict.fromkeys([*after, *before]):
        if name not in before or name not in after or json.dumps(before[name]) != json.dumps(after[name]):
            yield name, shown(name, before.get(name)), shown(name, after.get(name))


def shown(name: str, value: Any) -> str:
    """A member's value for people: instants as such, texts without quotes where they stand for themselves."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and _TIMES.fullmatch(name) and MIN_NS <= value <= MAX_NS:
        return format_rfc3339(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value) or "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
