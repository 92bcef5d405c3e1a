"""The snapshot: the facts at a revision, as the fold of changes 1 … revision.

One mutable object, advanced in place by `apply` alone and owned by one thread. It reads nothing but the changes it is
given and the programs that its ProgramSource holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from policy_service.engine.closures import Closures
from policy_service.engine.fold import DecodedChange, Step, Verifiers, decode, diverged, verify
from policy_service.engine.ports import ProgramSource
from policy_service.engine.program import Program
from policy_service.engine.views import WORKSPACE_FACTS, KeyView, WorkspaceView
from policy_service.model.changes import GENESIS_HASH, Change
from policy_service.model.errors import StoreError
from policy_service.model.facts import ActiveBundle, ApiKey, Fact, Key

_NO_VERIFIERS: Final[Verifiers] = {}


class Snapshot:
    """Facts, indexed for decisions.

    Attributes:
        revision, chain_hash: of the last change applied; 0 and `GENESIS_HASH` before the first.
        bundle: the active bundle's digest; None before the first activation.
        is_settled: whether `program` is at hand; if not, the next look at it has it made.
        keys: views of all keys by id; for the generated code.

    INVARIANT: after any sequence of changes it answers as a fresh fold of them does (test_snapshot: incremental fold).
    """

    __slots__ = (
        "_closures",
        "_facts",
        "_program",
        "_programs",
        "_verifiers",
        "_workspaces",
        "bundle",
        "chain_hash",
        "is_settled",
        "keys",
        "revision",
    )

    def __init__(self, programs: ProgramSource) -> None:
        self._programs = programs
        self._facts: defaultdict[str, dict[Key, Fact]] = defaultdict(dict)
        self._verifiers: dict[str, Verifiers] = {}
        self._workspaces: dict[str, WorkspaceView] = {}
        self._closures = Closures(None)
        self.keys: dict[str, KeyView] = {}
        self.revision = 0
        self.chain_hash = GENESIS_HASH
        self.bundle: str | None = None
        self.is_settled = True
        self._program: Program | None = None

    def apply(self, change: Change) -> None:
        """Advance by one change, whole or not at all. An activated bundle is only noted: see `program`.

        Raises:
            StoreError: `store_diverged` where the change is not the intact successor of the last one. Nothing has
                changed then.
        """
        verify(change, after_revision=self.revision, after_hash=self.chain_hash)
        decoded = decode(change)
        self._compare(change.revision, decoded.steps)
        for step in decoded.steps:
            self._take(step)
        self._keep_verifiers(decoded)
        self.revision, self.chain_hash = change.revision, change.hash

    @property
    def program(self) -> Program | None:
        """The active bundle's program; None while no bundle is active.

        Raises:
            StoreError: the ProgramSource's own, where the bundle cannot be had.
        """
        if not self.is_settled:
            self.settle()
        return self._program

    def settle(self) -> None:
        """Have the active bundle's program at hand, and forget what depended on another.

        INVARIANT: a bundle that another one superseded is never asked for, so that old ones which no longer load stop
        no fold (test_snapshot: superseded bundles).

        Raises:
            StoreError: as `program` does; `bundle_damaged`, it gave another one. Nothing has changed then.
        """
        if self.is_settled:
            return
        program = None if self.bundle is None else self._asked_for(self.bundle)
        if program is not self._program:
            self._use(program)
        self.is_settled = True

    def _asked_for(self, digest: str) -> Program:
        program = self._programs.program(digest)
        if program.digest != digest:
            raise StoreError("bundle_damaged", f"in place of bundle `{digest}` came `{program.digest}`")
        return program

    def fact(self, entity: str, key: Key) -> Fact | None:
        """One fact by entity name and key."""
        return self._facts.get(entity, {}).get(key)

    def facts(self) -> Iterator[Fact]:
        """Every fact, by entity in order of first appearance; no order within."""
        for table in self._facts.values():
            yield from table.values()

    def api_key(self, key_id: str) -> ApiKey | None:
        """One key by its public id."""
        view = self.keys.get(key_id)
        return view.fact if view else None

    def verifiers(self, key_id: str) -> Verifiers:
        """Secret verifiers of a key by slot number; empty where the change feed came without its secrets."""
        return self._verifiers.get(key_id, _NO_VERIFIERS)

    def workspace(self, workspace_id: str) -> WorkspaceView:
        """The view of a workspace; an empty one where nothing is known of it."""
        view = self._workspaces.get(workspace_id)
        if view is None:
            view = self._workspaces[workspace_id] = WorkspaceView(self._closures)
        return view

    def closure_of(self, key: KeyView) -> frozenset[str]:
        """The key's scopes and all they imply, kept in the view until the active bundle changes."""
        key.closure = self._closures.scopes(key.scopes)
        return key.closure

    def _compare(self, revision: int, steps: Sequence[Step]) -> None:
        """Each step must tell the past that it meets here, or in a step before it."""
        met: dict[tuple[str, Key], Fact | None] = {}
        for step in steps:
            name = (step.entity, step.key)
            there = met[name] if name in met else self.fact(*name)
            if step.before != there:
                raise diverged(revision, f"it tells another past of {step.entity} `{'/'.join(step.key)}`")
            met[name] = step.after

    def _take(self, step: Step) -> None:
        """Put one fact in, or out; the views follow."""
        table = self._facts[step.entity]
        before = table.pop(step.key, None)
        if step.after is not None:
            table[step.key] = step.after
        if step.entity == ApiKey.entity:
            self._take_key(step.key[0], step.after)
        elif step.entity == ActiveBundle.entity:
            self.bundle = step.after.digest if isinstance(step.after, ActiveBundle) else None
            self.is_settled = False
        elif type(before or step.after) in WORKSPACE_FACTS:
            self.workspace(step.key[0]).replace(before, step.after)

    def _take_key(self, key_id: str, after: Fact | None) -> None:
        self.keys.pop(key_id, None)
        if isinstance(after, ApiKey):
            self.keys[key_id] = KeyView(after, self.workspace(after.workspace))

    def _keep_verifiers(self, decoded: DecodedChange) -> None:
        """Merge the verifiers a change brought; keep those of slots that its keys still have."""
        touched = {step.key[0] for step in decoded.steps if step.entity == ApiKey.entity} | set(decoded.verifiers)
        for key_id in touched:
            merged: Mapping[int, bytes] = {**self.verifiers(key_id), **decoded.verifiers.get(key_id, {})}
            view = self.keys.get(key_id)
            self._verifiers.pop(key_id, None)
            if view is not None:
                self._verifiers[key_id] = {slot: merged[slot] for slot in sorted(merged) if slot in view.slots}

    def _use(self, program: Program | None) -> None:
        """Another program decides from here on: all that depended on the last one is forgotten."""
        self._program = program
        self._closures = Closures(program.policy if program else None)
        for workspace in self._workspaces.values():
            workspace.use(self._closures)
        for key in self.keys.values():
            key.closure = None
