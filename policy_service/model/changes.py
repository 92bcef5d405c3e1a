"""One change of the facts: what was done, by whom, when, and the facts before and after.

A change carries its *effects*, not the reasoning that led to them: folding old changes never depends on today's rules
for cascades. Changes are hash-chained; secret verifiers are only committed to (`sealed_sha256`), so that a chain with
its secrets removed still verifies.
"""

from __future__ import annotations

from typing import Any

import msgspec

from policy_service.model.canonical import canonical_text, sha256_hex

GENESIS_HASH = "0" * 64
"""What the first change names as its predecessor's hash."""


class Effect(msgspec.Struct, frozen=True):
    """One fact set (`after` is its JSON form) or removed (`after` is None). `before` is None where it was new."""

    entity: str
    key: tuple[str, ...]
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class ChangeDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A change before the store gives it a revision and a hash.

    Args:
        action: `<entity>.<verb>`, such as `user.put`, `api_key.create`, `api_key.revoke`, `bundle.activate`.
        workspace: the workspace it concerns; None for bundles.
        sealed: canonical JSON with secret verifiers, `{"verifiers": {key_id: {slot_number: hex}}}`; never shown.
        subject: what the change is about, for people: the key of the main effect, joined by `/`.
    """

    action: str
    workspace: str | None
    subject: str
    effects: tuple[Effect, ...]
    note: str = ""
    sealed: str | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A committed change. `at` is nanoseconds UTC; `hash` covers all the rest and the previous hash.

    `sealed` may be None though `sealed_sha256` is set: then the secrets were removed (a replay pack), and the chain
    still verifies.
    """

    revision: int
    at: int
    actor: str
    action: str
    workspace: str | None
    subject: str
    effects: tuple[Effect, ...]
    note: str
    sealed: str | None
    sealed_sha256: str | None
    previous_hash: str
    hash: str

    def expected_hash(self) -> str:
        """The hash this change ought to carry, from its own content. Cost: one canonical encoding."""
        content = {
            "revision": self.revision,
            "at": str(self.at),
            "actor": self.actor,
            "action": self.action,
            "workspace": self.workspace,
            "subject": self.subject,
            "effects": [[e.entity, list(e.key), e.before, e.after] for e in self.effects],
            "note": self.note,
            "sealed_sha256": self.sealed_sha256,
            "previous_hash": self.previous_hash,
        }
        return sha256_hex(canonical_text(content))

    def is_intact(self) -> bool:
        """Whether hash and sealed part belong to this content. Says nothing about the neighbours in the chain."""
        sealed_fits = self.sealed is None or sha256_hex(self.sealed) == self.sealed_sha256
        return sealed_fits and self.hash == self.expected_hash()


def chain(draft: ChangeDraft, *, revision: int, at: int, actor: str, previous_hash: str) -> Change:
    """The change that a draft becomes at `revision`, hash-chained to `previous_hash`."""
    unhashed = Change(
        revision=revision,
        at=at,
        actor=actor,
        action=draft.action,
        workspace=draft.workspace,
        subject=draft.subject,
        effects=draft.effects,
        note=draft.note,
        sealed=draft.sealed,
        sealed_sha256=None if draft.sealed is None else sha256_hex(draft.sealed),
        previous_hash=previous_hash,
        hash="",
    )
    return msgspec.structs.replace(unhashed, hash=unhashed.expected_hash())
