"""The snapshot: the facts at a revision, as the fold of changes 1 … revision.

It begins with nothing, or with a fact base, which is the fold of the first changes made earlier. One mutable object,
advanced in place by `apply` alone and owned by one thread. It reads nothing but the base and the changes it is given,
and the programs that its ProgramSource holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from policy_service.engine.base import FactBase, read
from policy_service.engine.base_rows import NO_MORE, WORDS, common_of, slots_of
from policy_service.engine.base_writer import write_base
from policy_service.engine.closures import Closures
from policy_service.engine.fact_table import FactTable
from policy_service.engine.fold import DecodedChange, Step, Verifiers, decode, diverged, verify
from policy_service.engine.grants import Standing
from policy_service.engine.kept import KEPT, Kept, Room
from policy_service.engine.key_view import Common, KeyView, read_key_view
from policy_service.engine.ports import ProgramSource
from policy_service.engine.program import Program
from policy_service.engine.views import WORKSPACE_FACTS, WorkspaceView
from policy_service.model.changes import GENESIS_HASH, Change
from policy_service.model.errors import StoreError
from policy_service.model.facts import ActiveBundle, ApiKey, Fact, Key

_NO_VERIFIERS: Final[Verifiers] = {}
_WORKSPACES: Final = 8192
"""So many views of workspaces are kept over a base; for one more, all are made anew as they are asked for."""


class Snapshot:
    """Facts, indexed for decisions.

    Args:
        base: what to begin with: the facts at its revision. Over it views are kept for a while only (`kept`); without
            one they are kept as long as their facts last.

    Attributes:
        revision, chain_hash: of the last change applied; 0 and `GENESIS_HASH` before the first.
        bundle: the active bundle's digest; None before the first activation.
        is_settled: whether `program` is at hand; if not, the next look at it has it made.
        keys: views of keys by id, None for what is no key; for the generated code. Read it with `[]`; it holds only
            those that were asked for, so to see all keys go through `facts`.

    INVARIANT: after any sequence of changes it answers as a fresh fold of them does (test_snapshot: incremental fold),
    whatever base it began with (test_base: fold from a base).
    """

    __slots__ = (
        "_closures",
        "_common",
        "_common_of_facts",
        "_facts",
        "_program",
        "_programs",
        "_room",
        "_standings",
        "_workspaces",
        "bundle",
        "chain_hash",
        "is_settled",
        "keys",
        "revision",
    )

    def __init__(self, programs: ProgramSource, base: FactBase | None = None, *, kept: int = KEPT) -> None:
        self._programs = programs
        self._facts = FactTable(base)
        self._room = Room(None if base is None else kept)
        self._workspaces: dict[str, WorkspaceView] = {}
        words = None if base is None else base.contents.words
        self._common: list[Common | None] = [None] * len(words.common if words else ())
        self._standings: list[Standing | None] = [None] * len(words.standings if words else ())
        self._common_of_facts: dict[object, Common] = {}
        self._closures = Closures(None)
        self.keys: Kept[str, KeyView] = Kept(self._key_view, self._room)
        self.revision = 0 if base is None else base.revision
        self.chain_hash = GENESIS_HASH if base is None else base.chain_hash
        active = self._facts.fact(ActiveBundle.entity, ("active",))
        self.bundle: str | None = active.digest if isinstance(active, ActiveBundle) else None
        self.is_settled = self.bundle is None
        self._program: Program | None = None

    @property
    def weight(self) -> int:
        """How many facts have changed since the base it began with."""
        return self._facts.weight

    @property
    def base(self) -> FactBase | None:
        """What it began with."""
        return self._facts.base

    def packed(self, modulus: int) -> Iterator[bytes]:
        """The facts as a base: see `write_base`. Nothing may be applied before the last piece was taken."""
        return write_base(self._facts, self.revision, self.chain_hash, modulus)

    def dismantled(self) -> Iterator[None]:
        """Give up all facts, some at each step; the snapshot is of no use from the first step on.

        Freed in one go they would hold up every thread for as long as it takes, and what refers to itself here waits
        for the garbage collector, which does not look where a start-up told it not to.
        """
        self._forget_views()
        yield from self._facts.dismantled()

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
        return self._facts.fact(entity, key)

    def facts(self, entity: str | None = None) -> Iterator[Fact]:
        """Every fact, or those of one entity; no order within an entity. Cost: microseconds for each fact of a base."""
        return self._facts.facts(entity)

    def api_key(self, key_id: str) -> ApiKey | None:
        """One key by its public id."""
        view = self.keys[key_id]
        return view.fact if view else None

    def verifiers(self, key_id: str) -> Verifiers:
        """Secret verifiers of a key by slot number; empty where the change feed came without its secrets."""
        view = self.keys[key_id]
        return view.verifiers if view else _NO_VERIFIERS

    def workspace(self, workspace_id: str) -> WorkspaceView:
        """The view of a workspace; an empty one where nothing is known of it."""
        view = self._workspaces.get(workspace_id)
        if view is None:
            if self._facts.base is not None and len(self._workspaces) >= _WORKSPACES:
                self._forget_views()
            view = WorkspaceView(workspace_id, self._facts, self._closures, self._room)
            self._workspaces[workspace_id] = view
        return view

    def _forget_views(self) -> None:
        """Make room for workspaces. A key's view goes with its workspace's, which learns of changes no longer."""
        self._workspaces.clear()
        self.keys.forget_all()
        self._room.empty()
        self._common = [None] * len(self._common)
        self._standings = [None] * len(self._standings)
        self._common_of_facts.clear()

    def _key_view(self, key_id: str) -> KeyView | None:
        """A key as it stands in the base, or of its fact. Cost: a microsecond for the first."""
        base = self._facts.base
        if base is None or key_id in self._facts.verifiers:
            return self._view_of_fact(key_id)
        view = base.key(key_id, read_key_view)
        if view is None:
            return None
        row = view.common_row
        common = self._common[row] if type(row) is int else None
        if common is None or view.more is not None:
            common = self._made_common(view, base)
        view.common = common
        number = view.standing_row
        if number is not None:
            view.standing = self._standings[number] or self._numbered(number, common.workspace)
        return view

    def _made_common(self, view: KeyView, base: FactBase) -> Common:
        row = read(common_of, view, base.contents.words)
        common = Common(row, self.workspace(row.workspace), slots_of(view, row), view.more or NO_MORE)
        if view.more is None and isinstance(view.common_row, int):
            self._common[view.common_row] = common
        return common

    def _numbered(self, number: int, workspace: WorkspaceView) -> Standing:
        standing = self._standings[number] = workspace.numbered()
        return standing

    def _view_of_fact(self, key_id: str) -> KeyView | None:
        found = self._facts.api_key(key_id)
        if found is None:
            return None
        fact, verifiers = found
        workspace = self.workspace(fact.workspace)
        view = KeyView.of_fact(fact, workspace, verifiers)
        if view.is_user:
            view.standing = workspace.standing(fact.principal_id)
        # Many keys have all of it alike, and so one object.
        common = view.common
        if len(self._common_of_facts) >= WORDS:
            self._common_of_facts.clear()
        view.common = self._common_of_facts.setdefault(common.name(), common)
        return view

    def closure_of(self, key: KeyView) -> frozenset[str]:
        """The key's scopes and all they imply, kept until the active bundle changes."""
        closure = key.common.closure = self._closures.scopes(key.common.scopes)
        return closure

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
        """Put one fact in, or out; what was made of it is forgotten."""
        self._facts.take(step)
        if step.entity == ApiKey.entity:
            self.keys.forget(step.key[0])
        elif step.entity == ActiveBundle.entity:
            self.bundle = step.after.digest if isinstance(step.after, ActiveBundle) else None
            self.is_settled = False
        elif step.entity in WORKSPACE_FACTS:
            view = self._workspaces.get(step.key[0])
            if view is not None:
                view.forget(step.entity, step.key, (step.before, step.after))

    def _keep_verifiers(self, decoded: DecodedChange) -> None:
        """Merge the verifiers a change brought; keep those of slots that its keys still have."""
        touched = {step.key[0] for step in decoded.steps if step.entity == ApiKey.entity} | set(decoded.verifiers)
        for key_id in touched:
            found = self._facts.api_key(key_id)
            if found is None:
                self._facts.keep_verifiers(key_id, None)
                continue
            fact, there = found
            merged: Mapping[int, bytes] = {**there, **decoded.verifiers.get(key_id, {})}
            numbers = sorted(slot.number for slot in fact.slots if slot.number in merged)
            self._facts.keep_verifiers(key_id, {number: merged[number] for number in numbers})
            self.keys.forget(key_id)

    def _use(self, program: Program | None) -> None:
        """Another program decides from here on: all that depended on the last one is forgotten."""
        self._program = program
        self._closures = Closures(program.policy if program else None)
        for workspace in self._workspaces.values():
            workspace.use(self._closures)
        for key in self.keys.there():
            key.common.closure = None
        for common in (*self._common, *self._common_of_facts.values()):
            if common is not None:
                common.closure = None
