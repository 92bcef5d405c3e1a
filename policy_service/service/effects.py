"""Effects of changes: facts set and facts removed, in their JSON form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from policy_service.model.canonical import canonical_text
from policy_service.model.changes import ChangeDraft, Effect
from policy_service.model.facts import Fact


def json_form(fact: Fact) -> dict[str, Any]:
    """A fact as plain JSON values: what a change carries, a table stores and an API shows."""
    form: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(fact))
    return form


def same(before: Fact | None, after: Fact) -> bool:
    """Whether nothing changes. By JSON form: to Python `1`, `1.0` and `True` are equal, to a condition they are not."""
    return before is not None and canonical_text(json_form(before)) == canonical_text(json_form(after))


def put(after: Fact, before: Fact | None = None) -> Effect:
    """`after` is set, in the place of `before`."""
    return Effect(after.entity, after.key(), None if before is None else json_form(before), json_form(after))


def remove(fact: Fact) -> Effect:
    """The fact is gone."""
    return Effect(fact.entity, fact.key(), json_form(fact), None)


def draft(
    verb: str,
    subject: Fact,
    effects: Iterable[Effect],
    *,
    workspace: str | None,
    note: str = "",
    sealed: str | None = None,
) -> ChangeDraft:
    """A change about `subject`; its action is `<entity>.<verb>`."""
    return ChangeDraft(
        action=f"{subject.entity}.{verb}",
        workspace=workspace,
        subject="/".join(subject.key()),
        effects=tuple(effects),
        note=note,
        sealed=sealed,
    )
