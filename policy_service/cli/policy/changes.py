"""What would change if other rule files decided: files, and what they say, part by part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from policy_service.cli.shared.screen import Screen
from policy_service.language.difference import Difference, differences
from policy_service.language.load import load
from policy_service.language.policy import Policy

_SIGNS: Final = {"added": "+", "removed": "-", "changed": "~"}
_STYLES: Final = {"added": "green", "removed": "red", "changed": "yellow"}


def change_of_policy(active: Mapping[str, Any] | None, files: Mapping[str, str], policy: Policy) -> dict[str, Any]:
    """Digests, files and differences, JSON-ready.

    Args:
        active: what `/v1/active-bundle` answered; None while there is none.
        files, policy: those that are to decide.
    """
    stored: dict[str, str] = {} if active is None else active["data"]["files"]
    before = load(stored).policy if stored else None
    return {
        "before": None if active is None else active["data"]["digest"],
        "after": policy.digest,
        "files": _files(stored, files),
        # Of nothing, and of files that this version cannot read, everything is new.
        "differences": None if before is None else [_document(one) for one in differences(before, policy)],
    }


def _files(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, list[str]]:
    return {
        "added": sorted(after.keys() - before.keys()),
        "removed": sorted(before.keys() - after.keys()),
        "changed": sorted(name for name in after.keys() & before.keys() if after[name] != before[name]),
    }


def _document(one: Difference) -> dict[str, Any]:
    fields = {name: {"before": before, "after": after} for name, (before, after) in one.fields.items()}
    return {"kind": one.kind, "part": one.part, "name": one.name, "fields": fields}


def show_change_of_policy(screen: Screen, changed: Mapping[str, Any], *, as_json: bool) -> None:
    """Print it."""
    if as_json:
        screen.json(changed)
        return
    for kind, names in changed["files"].items():
        for name in names:
            screen.line(f"{_SIGNS[kind]} {name}", _STYLES[kind])
    found = changed["differences"]
    if found is None:
        screen.line("no bundle is active that this version can read: everything is new")
    elif not found:
        screen.line(f"means the same as what decides now, {changed['after']}")
    else:
        for one in found:
            _show_difference(screen, one)
        screen.line(f"{changed['before']} → {changed['after']}")


def _show_difference(screen: Screen, one: Mapping[str, Any]) -> None:
    screen.line(f"{_SIGNS[one['kind']]} {one['part']} {one['name']}", _STYLES[one["kind"]])
    for name, values in one["fields"].items():
        screen.line(f"    {name}: {_text(values['before'])} → {_text(values['after'])}")


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
