"""Importing keys by the thousand: new ones, and ones whose secrets are hashed already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from policy_service.model.api_key import KEY_ID
from policy_service.model.canonical import canonical_text
from policy_service.model.changes import Change, ChangeDraft
from policy_service.model.errors import RequestError
from policy_service.model.facts import ApiKey, SecretSlot, ServicePrincipal, User
from policy_service.service.administration.desk import existing_workspace
from policy_service.service.administration.keys import KeyAdministration, NewKey, describe_key
from policy_service.service.caller import Caller
from policy_service.service.checks import shown
from policy_service.service.discreet import Discreet
from policy_service.service.effects import put
from policy_service.service.ports import FactReader

PER_CHANGE: Final = 500
"""Keys that one change makes: enough that a commit's wait for the disk is shared, few enough that a follower's batch of
changes stays small."""
VERIFIER_BYTES: Final = 32


class HashedSecret(Discreet, frozen=True, kw_only=True):
    """The secret of a key that was issued elsewhere: HMAC-SHA-256 of the key's whole text under a pepper."""

    secret_fields: ClassVar[tuple[str, ...]] = ("verifier",)
    key_id: str
    pepper_id: str
    verifier: bytes


class KeyToImport(msgspec.Struct, frozen=True, kw_only=True):
    """One key. `hashed` None: it gets an id and a secret, and its text is shown once."""

    new: NewKey
    hashed: HashedSecret | None = None


class Minted(Discreet, frozen=True, kw_only=True):
    """A key ready to be committed. `text`: what its holder is to be given; None where that was done elsewhere."""

    secret_fields: ClassVar[tuple[str, ...]] = ("text", "verifier")
    api_key: ApiKey
    verifier: bytes
    text: str | None


class KeyImport(KeyAdministration):
    """Check, mint and commit keys in bulk. For the operator alone."""

    def check_import(self, caller: Caller, workspace: str, keys: Sequence[KeyToImport]) -> dict[int, RequestError]:
        """What is wrong with which of these keys, by position, as the facts are now. Nothing is written.

        Raises:
            RequestError: 403 `operator_only`; 404 `not_found` (the workspace).
            StoreError: `no_policy`.
        """
        self._operator_only(caller, "imports of keys")
        self._enter(caller, workspace)
        described: dict[int, ApiKey] = {}
        wrong: dict[int, RequestError] = {}
        for index, key in enumerate(keys):
            try:
                described[index] = self._as_key(workspace, key)
            except RequestError as error:
                wrong[index] = error
        found = self._store.read(lambda reader: self._wrong_by_facts(reader, workspace, described, described))
        return {**wrong, **found}

    def mint(self, workspace: str, keys: Iterable[KeyToImport]) -> list[Minted]:
        """The same keys with ids, secrets and verifiers. Raises RequestError where one is wrong in itself."""
        return [self._minted(self._as_key(workspace, key), key.hashed) for key in keys]

    def commit_import(self, caller: Caller, workspace: str, minted: Sequence[Minted], *, note: str) -> Change:
        """Make all of these keys, or none, in one change.

        Raises:
            RequestError: one of them is no longer right; details: `index`. Also as `check_import`.
            StoreError: nothing was written, unless the message says otherwise.
        """
        self._operator_only(caller, "imports of keys")
        self._enter(caller, workspace)
        change = _draft(workspace, minted, note)
        keys = dict(enumerate(made.api_key for made in minted))
        # An id that was drawn just now is nobody's; and if it were, the store would refuse it.
        named = {index: keys[index] for index, made in enumerate(minted) if made.text is None}

        def plan(reader: FactReader) -> ChangeDraft:
            for index, error in sorted(self._wrong_by_facts(reader, workspace, keys, named).items()):
                raise RequestError(error.code, error.message, {"index": index}, status=error.status)
            return change

        made = self._store.commit(plan, actor=caller.actor, now=self._clock.now())
        assert made is not None  # the plan always has something to do
        return made

    def _as_key(self, workspace: str, key: KeyToImport) -> ApiKey:
        """Checked as far as that needs no facts. A key that is new has no id and no slot yet."""
        described = describe_key(workspace, key.new, self._clock.now())
        hashed = key.hashed
        if hashed is None:
            return described
        if not KEY_ID.fullmatch(hashed.key_id):
            raise RequestError("invalid_id", f"{shown(hashed.key_id)} is not the id of a key: 12 letters and digits")
        if len(hashed.verifier) != VERIFIER_BYTES:
            raise RequestError("invalid_verifier", f"`verifier` must be {2 * VERIFIER_BYTES} hexadecimal digits")
        if not self._peppers.knows(hashed.pepper_id):
            raise RequestError(
                "unknown_pepper", f"pepper {shown(hashed.pepper_id)} is not loaded; add it to the pepper file first"
            )
        slot = SecretSlot(number=1, pepper_id=hashed.pepper_id, created_at=described.created_at)
        return msgspec.structs.replace(described, id=hashed.key_id, slots=(slot,))

    def _minted(self, described: ApiKey, hashed: HashedSecret | None) -> Minted:
        if hashed is not None:
            return Minted(api_key=described, verifier=hashed.verifier, text=None)
        key, text = self._mint(described)
        return Minted(api_key=key, verifier=self._peppers.verifier(key.slots[0].pepper_id, text), text=text)

    def _wrong_by_facts(
        self, reader: FactReader, workspace: str, keys: Mapping[int, ApiKey], named: Mapping[int, ApiKey]
    ) -> dict[int, RequestError]:
        existing_workspace(reader, workspace)
        return dict((*self._unknown_scopes(reader, keys), *_unknown_principals(reader, keys), *_taken(reader, named)))

    def _unknown_scopes(self, reader: FactReader, keys: Mapping[int, ApiKey]) -> Iterator[tuple[int, RequestError]]:
        # Thousands of keys name a few sets of scopes.
        verdicts: dict[tuple[str, ...], RequestError | None] = {}
        for index, key in keys.items():
            if key.scopes not in verdicts:
                verdicts[key.scopes] = self._verdict(reader, key.scopes)
            error = verdicts[key.scopes]
            if error is not None:
                yield index, error

    def _verdict(self, reader: FactReader, scopes: tuple[str, ...]) -> RequestError | None:
        try:
            self._check_scopes(reader, scopes)
        except RequestError as error:
            return error
        return None


def _unknown_principals(reader: FactReader, keys: Mapping[int, ApiKey]) -> Iterator[tuple[int, RequestError]]:
    for kind, entity, what in (("user", User, "user"), ("service", ServicePrincipal, "service principal")):
        of_kind = {index: key for index, key in keys.items() if key.principal_kind == kind}
        named = {(key.workspace, key.principal_id) for key in of_kind.values()}
        there = reader.present(entity, named)
        for index, key in of_kind.items():
            if (key.workspace, key.principal_id) not in there:
                told = f"there is no {what} `{key.principal_id}`; make it first"
                yield index, RequestError("unknown_principal", told)


def _taken(reader: FactReader, keys: Mapping[int, ApiKey]) -> Iterator[tuple[int, RequestError]]:
    ids = Counter(key.id for key in keys.values() if key.id)
    there = reader.present(ApiKey, {(key_id,) for key_id in ids})
    for index, key in keys.items():
        if (key.id,) in there:
            yield index, RequestError("conflict", f"there is a key `{key.id}` already", status=409)
        elif ids[key.id] > 1:
            yield index, RequestError("conflict", f"two keys have the id `{key.id}`", status=409)


def _draft(workspace: str, minted: Sequence[Minted], note: str) -> ChangeDraft:
    verifiers = {made.api_key.id: {str(made.api_key.slots[-1].number): made.verifier.hex()} for made in minted}
    return ChangeDraft(
        action="api_key.import",
        workspace=workspace,
        subject=minted[0].api_key.id if len(minted) == 1 else f"{len(minted)} keys",
        effects=tuple(put(made.api_key) for made in minted),
        note=note,
        sealed=canonical_text({"verifiers": verifiers}),
    )
