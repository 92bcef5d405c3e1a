"""Theorems about the fact base: whatever a fold begins with, it ends the same; what is damaged is never read."""

from __future__ import annotations

from collections import Counter
from itertools import islice, product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.engine import snapshot as snapshot_module
from policy_service.engine.base import Contents, FactBase, hash_of
from policy_service.engine.base_rows import KeyRow, UserRow, common_of
from policy_service.engine.decide import decide
from policy_service.engine.key_view import KeyView
from policy_service.engine.snapshot import Snapshot
from policy_service.model.canonical import canonical_text
from policy_service.model.changes import Change, ChangeDraft, Effect
from policy_service.model.errors import StoreError
from policy_service.model.facts import (
    ENTITIES,
    ActiveBundle,
    AllowlistEntry,
    ApiKey,
    Bundle,
    Fact,
    IpAllowlist,
    Key,
    LedgerShard,
    Membership,
    Resource,
    RoleBinding,
    SecretSlot,
    ServicePrincipal,
    ShadowBundle,
    Team,
    User,
    Workspace,
)
from tests.property.judging import verdict_of
from tests.property.strategies import Case, cases
from tests.unit.engine.test_snapshot import PROGRAMS, QUESTIONS, answers
from tests.unit.engine.worlds import next_change, to_json, told
from tests.worlds import Feed, Programs, activation, fold, program_of

MODULUS = (1 << 61) - 1
IDS = st.sampled_from(["a", "b", "c"])
WORKSPACES = st.sampled_from(["acme", "beta"])
SLOTS = st.sets(st.integers(1, 3), min_size=1).map(
    lambda numbers: tuple(
        SecretSlot(number=n, pepper_id=f"p{n % 2}", created_at=n - 1, expires_at=9 if n == 2 else None)
        for n in sorted(numbers)
    )
)
DIGESTS = st.sampled_from(["sha256:one", "sha256:two"])
FACTS: st.SearchStrategy[Fact] = st.one_of(
    st.builds(Workspace, id=WORKSPACES, name=IDS, created_at=st.integers(0, 1 << 62)),
    st.builds(User, workspace=WORKSPACES, id=IDS, name=IDS, suspended=st.booleans()),
    st.builds(ServicePrincipal, workspace=WORKSPACES, id=IDS),
    st.builds(Team, workspace=WORKSPACES, id=IDS, parent=st.none() | IDS),
    st.builds(Membership, workspace=WORKSPACES, team=IDS, user=IDS),
    st.builds(RoleBinding, workspace=WORKSPACES, id=IDS, role=st.sampled_from(["viewer", "operator"]), team=IDS),
    st.builds(RoleBinding, workspace=WORKSPACES, id=IDS, role=st.sampled_from(["viewer", "operator"]), user=IDS),
    st.builds(
        RoleBinding,
        workspace=WORKSPACES,
        id=IDS,
        role=st.just("operator"),
        team=IDS,
        resource_type=st.just("pipeline"),
        resource_id=IDS,
    ),
    st.builds(
        Resource,
        workspace=WORKSPACES,
        type=st.just("pipeline"),
        id=IDS,
        owner=st.none() | IDS,
        attributes=st.dictionaries(
            IDS, st.integers(-(1 << 70), 1 << 70) | st.floats(allow_nan=False, allow_infinity=False) | IDS, max_size=2
        ),
    ),
    st.builds(
        IpAllowlist,
        workspace=WORKSPACES,
        enabled=st.booleans(),
        entries=st.sampled_from([(), (AllowlistEntry(cidr="10.0.0.0/8", label="office"),)]),
    ),
    st.builds(
        ApiKey,
        id=IDS,
        workspace=WORKSPACES,
        principal_kind=st.sampled_from(["user", "service"]),
        principal_id=IDS,
        scopes=st.sampled_from([("pipelines:read",), ("pipelines:run",)]),
        slots=SLOTS,
        created_at=st.integers(0, 2),
        not_before=st.none() | st.just(1),
        expires_at=st.none() | st.just(1 << 62),
        revoked_at=st.none() | st.just(1),
        revoke_reason=st.none() | IDS,
        cidrs=st.sampled_from([(), ("10.0.0.0/8",)]),
        labels=st.dictionaries(IDS, IDS, max_size=2),
    ),
    st.builds(Bundle, digest=DIGESTS, content_sha256=st.just("00")),
    st.builds(ActiveBundle, digest=DIGESTS),
    st.builds(ShadowBundle, digest=DIGESTS),
    st.builds(LedgerShard, id=IDS, opened_at=st.just(1), closed_at=st.none() | st.just(2)),
)
EFFECTS = st.tuples(FACTS, st.sampled_from([True, True, False])).map(
    lambda pair: Effect(pair[0].entity, pair[0].key(), None, to_json(pair[0]) if pair[1] else None)
)
SEALED = st.dictionaries(IDS, st.dictionaries(st.integers(1, 3), st.binary(min_size=1, max_size=4), max_size=3))
BATCHES = st.lists(st.tuples(st.lists(EFFECTS, min_size=1, max_size=4), SEALED), min_size=1, max_size=12)


def based(snapshot: Snapshot, kept: int = 3) -> Snapshot:
    """A snapshot that begins with a base made of another one."""
    return Snapshot(PROGRAMS, base_of(snapshot), kept=kept)


def base_of(snapshot: Snapshot) -> FactBase:
    return FactBase(b"".join(snapshot.packed(MODULUS)))


def feed_of(batches: list[tuple[list[Effect], dict[str, dict[int, bytes]]]]) -> list[Change]:
    """The batches as changes, each telling the past that it meets."""
    snapshot, changes = Snapshot(PROGRAMS), []
    for effects, verifiers in batches:
        sealed = {key: {str(slot): value.hex() for slot, value in slots.items()} for key, slots in verifiers.items()}
        text = canonical_text({"verifiers": sealed}) if sealed else None
        draft = ChangeDraft(
            action="any.put", workspace=None, subject="", effects=tuple(told(snapshot, effects)), sealed=text
        )
        changes.append(next_change(snapshot, draft))
        snapshot.apply(changes[-1])
    return changes


TOLD = tuple(
    name
    for name, value in vars(KeyView).items()
    if isinstance(value, property) and name not in ("workspace", "networks", "closure")
)


def view_of(snapshot: Snapshot, key_id: str) -> object:
    """All that a view of a key tells."""
    view = snapshot.keys[key_id]
    if view is None:
        return None
    told = {name: getattr(view, name) for name in TOLD}
    return told, view.networks is None, view.workspace is snapshot.workspace(view.workspace_id)


def known(snapshot: Snapshot) -> list[object]:
    """All that a snapshot can be asked for."""
    workspaces = [snapshot.workspace(name) for name in ("acme", "beta")]
    return [
        (snapshot.revision, snapshot.chain_hash, snapshot.bundle),
        sorted(map(repr, snapshot.facts())),
        [sorted(map(repr, snapshot.facts(entity))) for entity in ENTITIES],
        [(snapshot.api_key(key), dict(snapshot.verifiers(key))) for key in "abcx"],
        [view_of(snapshot, key) for key in "abcx"],
        [workspace.bindings_of(user) for workspace in workspaces for user in "abc"],
        [workspace.allowlist is None for workspace in workspaces],
        [workspace.resources[("pipeline", name)] is None for workspace in workspaces for name in "abc"],
        answers(snapshot, QUESTIONS),
    ]


@given(BATCHES, st.data())
def test_a_fold_from_a_base_is_the_fold_of_all_changes(
    batches: list[tuple[list[Effect], dict[str, dict[int, bytes]]]], data: st.DataObject
) -> None:
    """fold(1 … R) = base at r + changes r + 1 … R, for every r, for bases of bases, and after every change asked."""
    changes = feed_of(batches)
    cuts = data.draw(st.sets(st.integers(0, len(changes)), min_size=1, max_size=3))
    whole, other = Snapshot(PROGRAMS), Snapshot(PROGRAMS)
    for number in range(len(changes) + 1):
        if number in cuts:
            other = based(other)
        assert known(other) == known(whole), f"after change {number}"
        for change in changes[number : number + 1]:
            whole.apply(change)
            other.apply(change)


@given(BATCHES)
def test_what_a_base_holds_does_not_depend_on_how_its_facts_came(
    batches: list[tuple[list[Effect], dict[str, dict[int, bytes]]]],
) -> None:
    """A base of a base with nothing in between has the same rows; every fact is found in it, and no other."""
    whole = Snapshot(PROGRAMS)
    for change in feed_of(batches):
        whole.apply(change)
    first = base_of(whole)
    second = base_of(Snapshot(PROGRAMS, first))
    tables = first.contents.extents
    assert {name: set(first.texts(name)) for name in tables} == {name: set(second.texts(name)) for name in tables}
    for fact in whole.facts():
        assert first.fact(fact.entity, fact.key()) == fact
    assert first.fact("user", ("acme", "nobody")) is None
    assert first.fact("membership", ("acme", "nowhere", "a")) is None
    assert first.fact("planet", ("mars",)) is None


@given(BATCHES, st.data())
def test_what_a_key_says_of_its_user_is_what_the_user_s_own_row_says(
    batches: list[tuple[list[Effect], dict[str, dict[int, bytes]]]], data: st.DataObject
) -> None:
    """However often a base was made of a base, and whatever happened to users in between."""
    changes = feed_of(batches)
    cuts = data.draw(st.sets(st.integers(0, len(changes)), max_size=3)) | {len(changes)}
    snapshot = Snapshot(PROGRAMS)
    for number in range(len(changes) + 1):
        if number in cuts:
            snapshot = based(snapshot)
            assert snapshot.base is not None
            for row in snapshot.base.keys():  # noqa: SIM118 - the rows of its keys: it is no dict
                assert_right(snapshot.base, row)
        for change in changes[number : number + 1]:
            snapshot.apply(change)


def assert_right(base: FactBase, row: KeyRow) -> None:
    """A key says nothing, or the truth; and it says it of every user without bindings."""
    common = common_of(row, base.contents.words)
    user = base.standing_of(common.workspace, row.principal_id)
    if row.standing_row is None:
        assert not common.is_user or user.suspended is None or user.bindings
        return
    said = base.contents.words.standings[row.standing_row]
    assert common.is_user
    assert (said.workspace, UserRow(said.suspended, said.teams, ())) == (common.workspace, user)


@given(cases(max_requests=4), st.integers(1, 4), st.integers(1, 3))
def test_decisions_on_a_base_are_those_on_its_facts(case: Case, kept: int, workspaces: int) -> None:
    """However few views of keys, and of workspaces, are kept."""
    program = program_of(case.world.files())
    feed = Feed()
    feed.put(*case.world.facts, *activation(program))
    whole = fold(feed.changes, program)
    other = Snapshot(Programs(program), base_of(whole), kept=kept)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot_module, "_WORKSPACES", workspaces)
        for _ in range(2):
            for request, now in case.asked:
                assert verdict_of(decide(request, other, now)) == verdict_of(decide(request, whole, now))


@given(BATCHES, st.integers(1, 60), st.booleans())
def test_facts_that_were_given_up_answer_nobody(
    batches: list[tuple[list[Effect], dict[str, dict[int, bytes]]]], steps: int, on_base: bool
) -> None:
    """After each step a fact is what it was, or an error: never absent, as it would be in a part of the facts."""
    snapshot = Snapshot(PROGRAMS)
    for change in feed_of(batches):
        snapshot.apply(change)
    facts = list(snapshot.facts())
    snapshot = based(snapshot) if on_base else snapshot
    list(islice(snapshot.dismantled(), steps))
    for fact in facts:
        try:
            found: object = snapshot.fact(fact.entity, fact.key())
        except StoreError as error:
            found = error.code
        assert found in (fact, "starting")
    with pytest.raises(StoreError, match="given up"):
        _ = snapshot.keys["x"]


@given(BATCHES, BATCHES)
def test_a_snapshot_weighs_what_was_changed_since_its_base(
    before: list[tuple[list[Effect], dict[str, dict[int, bytes]]]],
    after: list[tuple[list[Effect], dict[str, dict[int, bytes]]]],
) -> None:
    """However often each fact was: that is what a start has to fold again, and what the next base adds."""
    changes = feed_of([*before, *after])
    whole = Snapshot(PROGRAMS)
    for change in changes[: len(before)]:
        whole.apply(change)
    base = base_of(whole)
    other = Snapshot(PROGRAMS, base)
    assert (other.weight, other.base) == (0, base)
    for change in changes[len(before) :]:
        other.apply(change)
    changed = {(one.entity, tuple(one.key)) for change in changes[len(before) :] for one in change.effects}
    assert other.weight == len(changed)


@given(
    BATCHES,
    st.sampled_from(["layout", "modulus", "rows_end", "start", "end", "entries", "slots", "checks"]),
    st.integers(-(1 << 62), 1 << 62) | st.integers(0, 1 << 16),
)
def test_a_base_that_contradicts_itself_is_not_used(
    batches: list[tuple[list[Effect], dict[str, dict[int, bytes]]]], member: str, value: int
) -> None:
    """Whatever its contents say of its layout, its tables and its modulus: all is in the buffer, or it is refused."""
    whole = Snapshot(PROGRAMS)
    for change in feed_of(batches):
        whole.apply(change)
    body = b"".join(whole.packed(MODULUS))
    contents = FactBase(body).contents
    start = int.from_bytes(body[-8:], "little")
    if member in ("layout", "modulus", "rows_end"):
        other = msgspec.structs.replace(contents, **{member: str(value) if member == "layout" else value})
    else:
        user = msgspec.structs.replace(contents.extents["user"], **{member: value})
        other = msgspec.structs.replace(contents, extents={**contents.extents, "user": user})
    altered = body[:start] + msgspec.msgpack.encode(other) + body[-8:]
    taken = contents_of(altered)
    if isinstance(taken, str):
        assert taken == "snapshot_unfit"
        return
    assert (taken.layout, taken.modulus > 0) == (contents.layout, True)
    for one in taken.extents.values():
        assert 0 <= one.start <= one.end <= taken.rows_end <= one.entries
        assert one.slots.bit_count() == 1
        assert one.entries + 8 * one.slots <= one.checks <= start


def contents_of(body: bytes) -> Contents | str:
    """What a base says of itself, or the code of the error that comes instead."""
    try:
        return FactBase(body).contents
    except StoreError as error:
        return error.code


@given(BATCHES, st.data())
def test_a_flipped_byte_is_an_error_and_never_another_fact_nor_none(
    batches: list[tuple[list[Effect], dict[str, dict[int, bytes]]]], data: st.DataObject
) -> None:
    """In rows and in the tables by which they are found. The file's own hash was right when it was opened: this is what
    the disk did to it later.
    """
    whole = Snapshot(PROGRAMS)
    for change in feed_of(batches):
        whole.apply(change)
    body = bytearray(b"".join(whole.packed(MODULUS)))
    contents = FactBase(bytes(body)).contents
    tables = [(one.entries, one.entries + 8 * one.slots) for one in contents.extents.values()]
    taken = [place for start, end in tables for place in range(start, end) if body[place]]
    places = st.sampled_from([7, *range(8, contents.rows_end), *taken])
    for place in data.draw(st.lists(places, max_size=2)):
        body[place] = data.draw(st.just(0) | st.integers(0, 255)) if place > 7 else body[place]
    base = FactBase(bytes(body))
    for fact in whole.facts():
        assert read_again(base, fact.entity, fact.key()) in (fact, "snapshot_damaged")
    for entity, size in (("user", 2), ("api_key", 1), ("ip_allowlist", 1), ("membership", 3)):
        for key in product(("acme", "a", "b"), repeat=size):
            assert read_again(base, entity, key) in (whole.fact(entity, key), "snapshot_damaged")


def read_again(base: FactBase, entity: str, key: Key) -> Fact | str | None:
    """A fact as the base tells it, or the code of the error that comes instead."""
    try:
        return base.fact(entity, key)
    except StoreError as error:
        return error.code


def test_a_lost_entry_is_noticed_by_whoever_looks_for_its_row() -> None:
    """An allowlist that cannot be found is no allowlist that is off."""
    feed = Feed()
    feed.put(IpAllowlist(workspace="acme", enabled=True))
    whole = Snapshot(PROGRAMS)
    for change in feed.changes:
        whole.apply(change)
    body = bytearray(b"".join(whole.packed(MODULUS)))
    extent = FactBase(bytes(body)).contents.extents["ip_allowlist"]
    body[extent.entries : extent.entries + 8 * extent.slots] = bytes(8 * extent.slots)
    base = FactBase(bytes(body))
    assert read_again(base, "ip_allowlist", ("acme",)) == "snapshot_damaged"
    with pytest.raises(StoreError):
        Snapshot(PROGRAMS, base).workspace("acme")


@given(st.binary(max_size=64) | st.binary(max_size=64).map(lambda tail: b"facts 2\n" + tail))
def test_what_is_no_base_is_not_taken_for_one(noise: bytes) -> None:
    """Nor do its mistakes come out as anything but the error that says so."""
    with pytest.raises(StoreError) as raised:
        FactBase(noise)
    assert raised.value.code == "snapshot_unfit"


@pytest.mark.parametrize("shape", ["k{:011d}", "{:08d}-key", "key-{:x}-0000000000000000", "{:07d}"])
@pytest.mark.parametrize("modulus", [MODULUS, 3_458_764_513_820_540_943, 4_611_686_018_427_387_847])
def test_names_that_count_up_are_spread_over_the_table(shape: str, modulus: int) -> None:
    """A search in a table that is half full begins at a place that it shares with few: ids are often in order."""
    slots = 1 << 14
    begins = Counter(hash_of(shape.format(number).encode(), modulus) % slots for number in range(slots // 2))
    assert max(begins.values()) <= 10
    assert len(begins) > slots // 4
