"""API keys: issue, show, list, rotate, revoke. The text of a key is shown once, and stored nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

import msgspec

from policy_service.model.api_key import KEY_ID, format_api_key
from policy_service.model.canonical import canonical_text
from policy_service.model.errors import RequestError, StoreError
from policy_service.model.facts import ApiKey, PrincipalKind, SecretSlot, ServicePrincipal, User
from policy_service.model.instants import MAX_NS, MIN_NS
from policy_service.model.names import OWN_SCOPES
from policy_service.service.administration.allowlist import canonical_cidrs
from policy_service.service.administration.desk import Desk, existing_workspace
from policy_service.service.administration.key_state import SeenKey, seen_key
from policy_service.service.administration.own_keys import own_only, own_principal, refuse_beyond, refuse_others
from policy_service.service.administration.secrets import grace_ns, rotated
from policy_service.service.auditing.receipts import RevocationReceipt, receipt_of
from policy_service.service.caller import Caller
from policy_service.service.checks import check_id, check_labels, check_text, near, shown
from policy_service.service.discreet import Discreet
from policy_service.service.effects import draft, put
from policy_service.service.ports import FactReader
from policy_service.service.results import Found, Page, Planned, Written

MAX_SCOPES = 200
MAX_CIDRS = 100


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """What a new key is to be.

    Args:
        not_before, expires_at: nanoseconds UTC; valid is `not_before ≤ now < expires_at`. None: no bound.
        cidrs: the only source addresses it may be used from; empty: any.
    """

    principal_kind: PrincipalKind
    principal_id: str
    scopes: Sequence[str]
    not_before: int | None = None
    expires_at: int | None = None
    cidrs: Sequence[str] = ()
    labels: dict[str, str] = {}


class IssuedKey(Discreet, frozen=True, kw_only=True):
    """A key with a secret just made, and its text, which cannot be had again."""

    secret_fields: ClassVar[tuple[str, ...]] = ("written", "text")
    written: Written[ApiKey]
    api_key: ApiKey
    text: str


class KeyAdministration(Desk):
    """Create, show, list, rotate and revoke keys.

    Who came in by `keys:own` looks after the keys of its own user, and grants no more than its own key has: what is not
    its own is 403 `own_keys_only`, whether it is there or not; what reaches further, 403 `exceeds_own_key`.
    """

    def create_key(self, caller: Caller, workspace: str, new: NewKey) -> IssuedKey:
        """Issue a key for a principal of the workspace.

        Raises:
            RequestError: 400 `unknown_scope`, `invalid_scopes` (none, or too many), `unknown_principal`,
                `invalid_expiry`, `invalid_cidr`, `duplicate_cidr`, `too_many_entries`, `invalid_labels`,
                `invalid_id`; 403 `own_keys_only`, `exceeds_own_key`; 404 `not_found` (the workspace).
            StoreError: `no_policy`, where a scope is none of the service's own.
        """
        self._enter(caller, workspace)
        refuse_others(caller, workspace, (new.principal_kind, new.principal_id))
        now = self._clock.now()
        made, text = self._mint(describe_key(workspace, new, now))
        sealed = self._sealed(made, text)

        def plan(reader: FactReader) -> Planned[ApiKey]:
            existing_workspace(reader, workspace)
            self._refuse_beyond(reader, caller, made)
            _check_principal(reader, made)
            self._check_scopes(reader, made.scopes)
            if reader.get(ApiKey, made.key()) is not None:
                raise StoreError("key_id_collision", "a fresh key id is taken already; try again")
            change = draft("create", made, [put(made)], workspace=workspace, sealed=sealed)
            return Planned(draft=change, fact=made, created=True)

        return IssuedKey(written=self._write(caller, now, plan), api_key=made, text=text)

    def get_key(self, caller: Caller, workspace: str, key_id: str) -> Found[ApiKey]:
        """One key, without its secret. Raises RequestError 404 `not_found`, 403 `own_keys_only`."""
        self._enter(caller, workspace)
        _check_key_id(key_id)
        revision = self._store.head()
        found = self._store.read(lambda reader: _existing_key(reader, caller, workspace, key_id))
        return Found(fact=found, revision=revision)

    def list_keys(
        self,
        caller: Caller,
        workspace: str,
        *,
        principal: tuple[PrincipalKind, str] | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Page[ApiKey]:
        """The keys of a workspace, revoked and expired ones too, by id; those of one principal when named.

        Who came in by `keys:own` sees its own user's, and is refused another's (403 `own_keys_only`).
        """
        self._enter(caller, workspace)
        if own_only(caller) and principal is None:
            principal = own_principal(caller, workspace)
        refuse_others(caller, workspace, principal)
        where: dict[str, object] = {}
        if principal is not None:
            where = {"principal_kind": principal[0], "principal_id": check_id("principal", principal[1])}
        return self._list(workspace, ApiKey, cursor=cursor, limit=limit, **where)

    def seen(self, keys: Iterable[ApiKey]) -> list[SeenKey]:
        """Keys that were read before, as they are now: their status, their secrets', and when they were last used."""
        found = list(keys)
        last = {} if self._uses is None else self._uses.last(key.id for key in found)
        now = self._clock.now()
        return [seen_key(key, now, last.get(key.id)) for key in found]

    def revoke_key(
        self, caller: Caller, workspace: str, key_id: str, *, reason: str = "", force: bool = False
    ) -> Written[ApiKey]:
        """End every secret of a key for good. Nothing changes for one that is revoked.

        Raises:
            RequestError: 404 `not_found`; 403 `own_keys_only`; 409 `would_lock_out`; 400 `invalid_text` (the reason).
        """
        self._enter(caller, workspace)
        _check_key_id(key_id)
        check_text("`reason`", reason)
        now = self._clock.now()

        def plan(reader: FactReader) -> Planned[ApiKey]:
            before = _existing_key(reader, caller, workspace, key_id)
            if before.revoked_at is not None:
                return Planned(draft=None, fact=before)
            after = msgspec.structs.replace(before, revoked_at=now, revoke_reason=reason or None)
            return Planned(draft=draft("revoke", after, [put(after, before)], workspace=workspace), fact=after)

        return self._write(caller, now, plan, force=force)

    def receipt(self, key: ApiKey) -> RevocationReceipt | None:
        """The receipt of a revoked key's revocation, whoever ended it: by itself, or with its principal."""
        return receipt_of(self._store, key)

    def rotate_key(self, caller: Caller, workspace: str, key_id: str, *, grace_s: int = 0) -> IssuedKey:
        """Give a key a new secret; its id and all else stay. The old one works until its grace ends, or its key.

        So do older ones that are still in grace, and none longer: rotating without grace ends them all.

        Raises:
            RequestError: 404 `not_found`; 403 `own_keys_only`, `exceeds_own_key` (it could not have issued it); 409
                `key_ended`, it is revoked or expired; 409 `too_many_secrets`; 400 `invalid_grace`.
        """
        self._enter(caller, workspace)
        _check_key_id(key_id)
        grace, now = grace_ns(grace_s), self._clock.now()
        text = format_api_key(self._prefix, key_id, self._ids.secret())

        def plan(reader: FactReader) -> Planned[ApiKey]:
            before = _existing_key(reader, caller, workspace, key_id)
            self._refuse_beyond(reader, caller, before)
            after = rotated(before, self._peppers.current, now, grace)
            change = draft("rotate", after, [put(after, before)], workspace=workspace, sealed=self._sealed(after, text))
            return Planned(draft=change, fact=after, created=True)

        written = self._write(caller, now, plan)
        assert written.fact is not None  # a rotation always leaves its key
        return IssuedKey(written=written, api_key=written.fact, text=text)

    def _refuse_beyond(self, reader: FactReader, caller: Caller, wanted: ApiKey) -> None:
        refuse_beyond(reader, lambda: self._active_policy(reader), caller, wanted)

    def _mint(self, described: ApiKey) -> tuple[ApiKey, str]:
        """Give a described key its id, its first secret slot and its text."""
        key_id = self._ids.key_id()
        slot = SecretSlot(number=1, pepper_id=self._peppers.current, created_at=described.created_at)
        text = format_api_key(self._prefix, key_id, self._ids.secret())
        return msgspec.structs.replace(described, id=key_id, slots=(slot,)), text

    def _sealed(self, key: ApiKey, text: str) -> str:
        """The verifier of the last slot, as a change carries it: canonical JSON, never shown."""
        slot = key.slots[-1]
        verifier = self._peppers.verifier(slot.pepper_id, text).hex()
        return canonical_text({"verifiers": {key.id: {str(slot.number): verifier}}})

    def _check_scopes(self, reader: FactReader, scopes: Sequence[str]) -> None:
        foreign = [scope for scope in scopes if scope not in OWN_SCOPES]
        known = self._policy(reader).scopes if foreign else {}
        for scope in foreign:
            if scope not in known:
                hint = near(scope, [*known, *OWN_SCOPES]) or "; `scopes.yaml` declares the scopes"
                raise RequestError("unknown_scope", f"the active policy declares no scope {shown(scope)}{hint}")


def describe_key(workspace: str, new: NewKey, now: int) -> ApiKey:
    """The key asked for, checked as far as that needs no facts; without id and secret."""
    if not 1 <= len(new.scopes) <= MAX_SCOPES:
        raise RequestError("invalid_scopes", f"a key needs from 1 to {MAX_SCOPES} scopes")
    if len(new.cidrs) > MAX_CIDRS:
        raise RequestError("too_many_entries", f"a key holds at most {MAX_CIDRS} cidrs")
    _check_validity(new, now)
    return ApiKey(
        id="",
        workspace=workspace,
        principal_kind=new.principal_kind,
        principal_id=check_id("principal", new.principal_id),
        scopes=tuple(sorted(set(new.scopes))),
        slots=(),
        created_at=now,
        not_before=new.not_before,
        expires_at=new.expires_at,
        cidrs=canonical_cidrs(new.cidrs, "cidrs"),
        labels=check_labels(new.labels),
    )


def _check_validity(new: NewKey, now: int) -> None:
    bounds = [instant for instant in (new.not_before, new.expires_at) if instant is not None]
    if not all(MIN_NS <= instant <= MAX_NS for instant in bounds):
        raise RequestError("invalid_expiry", "an instant lies outside the years 0001 to 9999")
    if new.expires_at is None:
        return
    if new.expires_at <= now:
        raise RequestError("invalid_expiry", "`expires_at` is past already; name an instant to come")
    if new.not_before is not None and new.expires_at <= new.not_before:
        raise RequestError("invalid_expiry", "`expires_at` must be later than `not_before`")


def _check_principal(reader: FactReader, key: ApiKey) -> None:
    entity = User if key.principal_kind == "user" else ServicePrincipal
    if reader.get(entity, (key.workspace, key.principal_id)) is None:
        what = "user" if key.principal_kind == "user" else "service principal"
        raise RequestError("unknown_principal", f"there is no {what} `{key.principal_id}`; make it first")


def _check_key_id(key_id: str) -> None:
    if not KEY_ID.fullmatch(key_id):
        raise RequestError("invalid_id", f"{shown(key_id)} is not the id of a key: 12 letters and digits")


def _existing_key(reader: FactReader, caller: Caller, workspace: str, key_id: str) -> ApiKey:
    existing_workspace(reader, workspace)
    key = reader.get(ApiKey, (key_id,))
    # Another workspace's key is not to be told from none; nor, for who may see its own alone, another user's.
    key = None if key is None or key.workspace != workspace else key
    refuse_others(caller, workspace, None if key is None else (key.principal_kind, key.principal_id))
    if key is None:
        raise RequestError("not_found", f"there is no key `{key_id}` here", status=404)
    return key
