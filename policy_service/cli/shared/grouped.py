"""Options that several commands take alike, said once: a group is a class whose members are options.

    class Period(Group, frozen=True):
        since: Since = None
        until: Until = None

    @spread
    def list_changes(context: typer.Context, *, period: Period, as_json: AsJson = False) -> None: ...

Typer reads the signature of a command. `spread` shows it one in which the members of each group stand where the group
stood, and makes the groups of what was typed.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, get_type_hints

import msgspec

T = TypeVar("T")


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Options that belong together. Each member is annotated as a parameter of a command would be."""


def spread(command: Callable[..., T]) -> Callable[..., T]:
    """The command, its groups spread out into their options."""
    signature = inspect.signature(command, eval_str=True)
    groups = {name: one.annotation for name, one in signature.parameters.items() if _is_group(one.annotation)}
    options = [option for parameter in signature.parameters.values() for option in _options(parameter)]

    @functools.wraps(command)
    def spread_out(**typed: Any) -> T:
        made = {
            name: group(**{member: typed.pop(member) for member in group.__struct_fields__})
            for name, group in groups.items()
        }
        return command(**typed, **made)

    # Typer asks for both; and what `wraps` left to be followed would lead it back to the groups.
    spread_out.__signature__ = signature.replace(parameters=options)  # type: ignore[attr-defined]
    spread_out.__annotations__ = {option.name: option.annotation for option in options}
    del spread_out.__wrapped__
    return spread_out


def _is_group(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Group)


def _options(parameter: inspect.Parameter) -> Iterator[inspect.Parameter]:
    """What Typer is to see of a parameter. By keyword alone, so that an option that must be given may come late."""
    if not _is_group(parameter.annotation):
        yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        return
    group: type[Group] = parameter.annotation
    annotations = get_type_hints(group, include_extras=True)
    for name, member in inspect.signature(group).parameters.items():
        yield member.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=annotations[name])
