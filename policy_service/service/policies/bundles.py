"""Bundles: published policy files, which of them decides, and their linked programs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from policy_service.engine.link import compile_policy
from policy_service.engine.program import Program
from policy_service.language.load import load_policy
from policy_service.language.policy import Policy
from policy_service.model.errors import PolicyErrors, RequestError, StoreError
from policy_service.model.facts import ActiveBundle, Bundle, ShadowBundle
from policy_service.service.access import may_use
from policy_service.service.caller import Caller
from policy_service.service.checks import check_text, shown
from policy_service.service.commits import commit
from policy_service.service.effects import draft, put, remove, same
from policy_service.service.policies.cache import Cache
from policy_service.service.policies.shelf import name_of
from policy_service.service.ports import Clock, FactReader, FactStore
from policy_service.service.results import Found, Planned, Written

T = TypeVar("T", Policy, Program)
MakeProgram = Callable[[Mapping[str, str]], Program]
"""Rule files to their program. Raises PolicyErrors, StoreError."""

CACHED = 8
"""How many bundles stay loaded and linked: the active one, and those that authors go back and forth between."""


class Bundles:
    """Publishes and activates bundles; gives their policies and programs. Thread-safe.

    It is the engine's ProgramSource.
    """

    def __init__(self, store: FactStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._make: MakeProgram | None = None
        self._loaded: Cache[Policy] = Cache(2)
        self._policies: Cache[Policy] = Cache(CACHED)
        self._programs: Cache[Program] = Cache(CACHED)

    def use(self, make: MakeProgram | None) -> None:
        """Have programs made by this from now on: by another process, so that decisions go on. None: in this one."""
        self._make = make

    def program(self, digest: str) -> Program:
        """The linked program of a published bundle. Cost: a look-up, or loading and linking the first time.

        Raises:
            StoreError: `bundle_missing`, `bundle_damaged`, `bundle_unreadable`, `policy_maker_failed`.
        """
        return self._programs.get(digest, lambda: self._linked(digest))

    def _linked(self, digest: str) -> Program:
        """A policy that was loaded in this process and never linked is made anew where another one makes programs."""
        if self._make is None:
            return compile_policy(self.policy(digest))
        program = program_of_bundle(digest, self.files(digest), self._make)
        self._policies.get(digest, lambda: program.policy)
        return program

    def ready_program(self, digest: str) -> Program | None:
        """The program if it is linked already. Never waits."""
        return self._programs.ready(digest)

    def policy(self, digest: str) -> Policy:
        """The policy of a published bundle. Raises as `program` does."""
        return self._policies.get(digest, lambda: load_bundle(digest, self.files(digest)))

    def policy_in(self, reader: FactReader, digest: str) -> Policy:
        """The same, read within a transaction that is open already."""
        return self._policies.get(digest, lambda: load_bundle(digest, reader.bundle_files(digest)))

    def prepare(self, files: Mapping[str, str]) -> None:
        """Load and link rule files that may be published soon, so that this is quick then. Mistakes are told then."""
        with contextlib.suppress(PolicyErrors):
            policy = self._load(files)
            self._programs.get(policy.digest, lambda: compile_policy(policy))

    def _load(self, files: Mapping[str, str]) -> Policy:
        """The policy of rule files, by their text. Raises PolicyErrors; StoreError `policy_maker_failed`."""
        return self._loaded.get(name_of(files).hex(), lambda: self._checked(files))

    def _checked(self, files: Mapping[str, str]) -> Policy:
        """Where another process makes programs it has done all of the work then, and the program is kept."""
        if self._make is None:
            return load_policy(files)
        program = self._make(files)
        return self._programs.get(program.digest, lambda: program).policy

    def files(self, digest: str) -> dict[str, str] | None:
        """The text of a bundle by relative path; None when it was never published."""
        return self._store.read(lambda reader: reader.bundle_files(digest))

    def get_bundle(self, caller: Caller, digest: str) -> Found[Bundle]:
        """A published bundle, for the operator. Raises RequestError 403 `operator_only`, 404 `not_found`."""
        operator_only(caller)
        revision = self._store.head()
        bundle = self._store.read(lambda reader: reader.get(Bundle, (digest,)))
        if bundle is None:
            raise _not_published(digest)
        return Found(fact=bundle, revision=revision)

    def active(self) -> str | None:
        """The digest of the bundle that decides; None while there is none."""
        found = self._store.read(lambda reader: reader.get(ActiveBundle, ("active",)))
        return None if found is None else found.digest

    def active_bundle(self, caller: Caller) -> Found[Bundle]:
        """The bundle that decides, for the operator. Raises as `get_bundle` does; 404 while there is none."""
        operator_only(caller)
        digest = self.active()
        if digest is None:
            raise RequestError("not_found", "no bundle is active yet; run `policy activate`", status=404)
        return self.get_bundle(caller, digest)

    def publish(self, caller: Caller, files: Mapping[str, str], *, note: str = "") -> Written[Bundle]:
        """Store rule files under the digest of their meaning. They do not decide anything yet.

        Files of the same meaning as a published bundle change nothing: the first text stays.

        Raises:
            PolicyErrors: the files have mistakes; all of them.
            RequestError: 403 `operator_only`; 400 `invalid_text` (the note).
        """
        operator_only(caller)
        check_text("`note`", note)
        policy = self._load(files)
        digest = policy.digest
        # Whoever publishes a bundle will soon want to link it.
        self._policies.get(digest, lambda: policy)
        made = Bundle(
            digest=digest, content_sha256=self._store.put_bundle(digest, files), published_at=self._clock.now()
        )

        def plan(reader: FactReader) -> Planned[Bundle]:
            there = reader.get(Bundle, (digest,))
            if there is not None:
                return Planned(draft=None, fact=there)
            change = draft("publish", made, [put(made)], workspace=None, note=note)
            return Planned(draft=change, fact=made, created=True)

        return commit(self._store, caller, made.published_at, plan)

    def activate(self, caller: Caller, digest: str, *, note: str = "", force: bool = False) -> Written[ActiveBundle]:
        """Let a published bundle decide from now on.

        Args:
            force: even if the caller's own key could do less under it than now.

        Raises:
            RequestError: 403 `operator_only`; 404 `not_found`, it was never published; 400 `invalid_text` (the note);
                409 `would_lock_out`.
            StoreError: it cannot be linked; then nothing changed.
        """
        check_text("`note`", note)
        self.get_bundle(caller, digest)
        # Linked before the lock is taken: a bundle that no worker could link must never become active. A bundle that
        # was published stays published, so this needs no lock.
        policy = self.program(digest).policy
        after = ActiveBundle(digest=digest)

        def plan(reader: FactReader) -> Planned[ActiveBundle]:
            before = reader.get(ActiveBundle, after.key())
            if same(before, after):
                return Planned(draft=None, fact=after)
            if not force:
                _refuse_lock_out(reader, policy, caller)
            change = msgspec.structs.replace(
                draft("activate", after, [put(after, before)], workspace=None, note=note),
                action="bundle.activate",
                subject=digest,
            )
            return Planned(draft=change, fact=after, created=before is None)

        return commit(self._store, caller, self._clock.now(), plan)

    def set_shadow(self, caller: Caller, digest: str, *, note: str = "") -> Written[ShadowBundle]:
        """Decide by a published bundle beside the active one, to compare. It never answers.

        Raises:
            RequestError: 403 `operator_only`; 404 `not_found`, it was never published; 400 `invalid_text` (the note).
            StoreError: it cannot be linked; then nothing changed.
        """
        check_text("`note`", note)
        self.get_bundle(caller, digest)
        self.program(digest)
        after = ShadowBundle(digest=digest)

        def plan(reader: FactReader) -> Planned[ShadowBundle]:
            before = reader.get(ShadowBundle, after.key())
            if same(before, after):
                return Planned(draft=None, fact=after)
            change = draft("shadow", after, [put(after, before)], workspace=None, note=note)
            change = msgspec.structs.replace(change, action="bundle.shadow", subject=digest)
            return Planned(draft=change, fact=after, created=before is None)

        return commit(self._store, caller, self._clock.now(), plan)

    def end_shadow(self, caller: Caller, *, note: str = "") -> Written[ShadowBundle]:
        """Decide by the active bundle alone. Raises RequestError 403 `operator_only`, 400 `invalid_text` (the note)."""
        operator_only(caller)
        check_text("`note`", note)

        def plan(reader: FactReader) -> Planned[ShadowBundle]:
            gone = reader.get(ShadowBundle, ("shadow",))
            if gone is None:
                return Planned(draft=None, fact=None)
            change = draft("unshadow", gone, [remove(gone)], workspace=None, note=note)
            change = msgspec.structs.replace(change, action="bundle.unshadow", subject=gone.digest)
            return Planned(draft=change, fact=None)

        return commit(self._store, caller, self._clock.now(), plan)


def _refuse_lock_out(reader: FactReader, policy: Policy, caller: Caller) -> None:
    """Refuse a policy under which the caller's key could not do any more what it does now."""
    if caller.key_id is None or caller.scope is None or may_use(reader, policy, caller.key_id, caller.scope):
        return
    raise RequestError(
        "would_lock_out",
        f"this would end your own access: under that bundle your key could not use `{caller.scope}`; "
        "say `force` if that is meant",
        {"scope": caller.scope},
        status=409,
    )


def operator_only(caller: Caller) -> None:
    """Refuse everybody else. Raises RequestError 403 `operator_only`."""
    if not caller.is_operator:
        raise RequestError("operator_only", "bundles are the operator's; use a key of workspace `system`", status=403)


def _not_published(digest: str) -> RequestError:
    return RequestError("not_found", f"there is no bundle {shown(digest)}; publish it first", status=404)


def load_bundle(digest: str, files: Mapping[str, str] | None) -> Policy:
    """The policy that the files of a bundle mean; None stands for files that are not there.

    Raises:
        StoreError: `bundle_missing`, `bundle_unreadable`, `bundle_damaged`.
    """
    return _of_bundle(digest, files, load_policy)


def program_of_bundle(digest: str, files: Mapping[str, str] | None, make: MakeProgram) -> Program:
    """Its program. Raises as `load_bundle` and `make` do."""
    return _of_bundle(digest, files, make)


def _of_bundle(digest: str, files: Mapping[str, str] | None, make: Callable[[Mapping[str, str]], T]) -> T:
    if files is None:
        raise StoreError("bundle_missing", f"bundle `{digest}` is not in the store; restore the store from a backup")
    try:
        made = make(files)
    except PolicyErrors as error:
        raise StoreError(
            "bundle_unreadable", f"bundle `{digest}` does not load with this version: {error.diagnostics[0]}"
        ) from error
    if made.digest != digest:
        raise StoreError("bundle_damaged", f"the files of bundle `{digest}` have another digest, `{made.digest}`")
    return made
