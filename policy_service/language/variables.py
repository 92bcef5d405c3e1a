"""What conditions can see, besides declared attributes and context: path, type, and whether it may be absent.

The one list behind the CEL environment, the emitter, the interpreter and the authors' documentation.
"""

from __future__ import annotations

from typing import Final

import msgspec

from policy_service.language.ir import IP, LABELS, STRING, STRINGS, TIMESTAMP, Type


class Variable(msgspec.Struct, frozen=True):
    """One value that every condition can read. `optional`: it may be absent (`has()` false, reading faults)."""

    path: str
    type: Type
    optional: bool
    description: str


STANDARD: Final = tuple(
    Variable(*row)
    for row in (
        ("request.scope", STRING, False, "the requested scope"),
        ("request.time", TIMESTAMP, False, "the instant of the decision, UTC"),
        ("request.ip", IP, True, "the source address; an invalid one faults when read"),
        ("key.id", STRING, False, "the public id of the API key"),
        ("key.kind", STRING, False, '"user" or "service"'),
        ("key.scopes", STRINGS, False, "the key's scopes as issued, sorted"),
        ("key.created_at", TIMESTAMP, False, "when the key was issued"),
        ("key.expires_at", TIMESTAMP, True, "when the key expires, if it does"),
        ("key.labels", LABELS, False, "the key's labels"),
        ("principal.id", STRING, False, "the user or service principal that the key acts as"),
        ("principal.kind", STRING, False, '"user" or "service"'),
        ("principal.teams", STRINGS, False, "the user's teams with their ancestors, sorted; empty for a service"),
        ("principal.roles", STRINGS, False, "roles in force on this resource with those they inherit, sorted"),
        ("resource.type", STRING, False, "the type of the resource"),
        ("resource.id", STRING, False, "its id"),
        ("resource.workspace", STRING, False, "its workspace, always the key's"),
        ("resource.owner", STRING, True, "its owner, if it has one"),
        ("workspace.id", STRING, False, "the key's workspace"),
    )
)

ATTRIBUTE_PREFIX: Final = "resource.attr."
CONTEXT_PREFIX: Final = "request.context."
