"""What names look like. One pattern each, shared by files, API and commands."""

from __future__ import annotations

import re
from typing import Final

SCOPE: Final = re.compile(r"[a-z][a-z0-9_-]*:[a-z][a-z0-9_-]*")
REASON: Final = re.compile(r"[a-z][a-z0-9_]*")
NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")
"""Names of rules, roles, networks, resource types and conditions."""
ATTRIBUTE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")
RESOURCE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@/:-]{0,127}")

SYSTEM_WORKSPACE: Final = "system"
"""The operator's own workspace; a key of it covers all workspaces."""

DECISIONS_EVALUATE: Final = "decisions:evaluate"
DECISIONS_EXPLAIN: Final = "decisions:explain"
DECISIONS_READ: Final = "decisions:read"
KEYS_OWN: Final = "keys:own"
ADMIN_ORGANIZATION: Final = "admin:organization"
OWN_SCOPES: Final = frozenset({DECISIONS_EVALUATE, DECISIONS_EXPLAIN, DECISIONS_READ, KEYS_OWN, ADMIN_ORGANIZATION})
"""The scopes that the service's own fixed chain asks for. Always issuable, whatever a bundle declares."""


def split_resource(text: str) -> tuple[str, str] | None:
    """Split `type:id` at the first colon; None when either half is not a name of its kind."""
    kind, colon, identity = text.partition(":")
    if not colon or not NAME.fullmatch(kind) or not RESOURCE_ID.fullmatch(identity):
        return None
    return kind, identity
