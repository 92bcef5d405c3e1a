"""Which changes somebody asks for. One meaning of it, for every store."""

from __future__ import annotations

import msgspec

from policy_service.model.changes import Change


class ChangeQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A change fits if it fits every member that is given.

    Args:
        entity: the kind of fact that the change is about: the part of `action` before the dot.
        subjects: one of these it is about.
        since, until: nanoseconds UTC; `since ≤ at < until`.
    """

    workspace: str | None = None
    actor: str | None = None
    action: str | None = None
    entity: str | None = None
    subjects: tuple[str, ...] | None = None
    since: int | None = None
    until: int | None = None

    def fits(self, change: Change) -> bool:
        """Whether a change is asked for."""
        return (
            self.workspace in (None, change.workspace)
            and self.actor in (None, change.actor)
            and self.action in (None, change.action)
            and self.entity in (None, change.action.partition(".")[0])
            and (self.subjects is None or change.subject in self.subjects)
            and (self.since is None or self.since <= change.at)
            and (self.until is None or change.at < self.until)
        )


class ChangesFound(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the changes asked for, in the order asked for.

    Args:
        position: the revision that was looked at last, to go on past; None: there are no more. The changes may be
            fewer than asked for, or none at all, and there may still be more.
    """

    changes: tuple[Change, ...]
    position: int | None
