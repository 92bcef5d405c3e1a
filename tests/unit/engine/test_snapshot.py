"""The snapshot is the fold of its changes, however they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_service.engine.decide import decide
from policy_service.engine.guard import authorize, effective_scopes
from policy_service.engine.link import compile_policy
from policy_service.engine.snapshot import Snapshot
from policy_service.model.changes import GENESIS_HASH, ChangeDraft, Effect
from policy_service.model.errors import StoreError
from policy_service.model.facts import (
    ActiveBundle,
    AllowlistEntry,
    ApiKey,
    Bundle,
    Fact,
    IpAllowlist,
    Membership,
    Resource,
    RoleBinding,
    SecretSlot,
    ServicePrincipal,
    Team,
    User,
    Workspace,
)
from policy_service.model.request import Credential, Request
from tests.unit.engine.worlds import (
    NOW,
    World,
    api_key,
    ask,
    effect,
    next_change,
    policy,
    resource_policy,
    role,
    rule,
    scope,
    to_json,
    told,
    user_key,
)

ACME = {"workspace": "acme"}


def test_an_empty_snapshot() -> None:
    """Before the first change there is no revision, no policy and no fact."""
    snapshot = World().snapshot
    assert (snapshot.revision, snapshot.chain_hash, snapshot.bundle, snapshot.program) == (0, GENESIS_HASH, None, None)
    assert list(snapshot.facts()) == []
    assert snapshot.fact("user", ("acme", "ann")) is None
    assert snapshot.api_key("nobody") is None
    assert snapshot.verifiers("nobody") == {}


def test_facts_are_the_fold() -> None:
    """A fact set is there, replaced is replaced, removed is gone; revision and hash are the last change's."""
    world = World()
    ann, elder = User(**ACME, id="ann"), User(**ACME, id="ann", name="Ann the Elder")
    world.put(Workspace(id="acme"), ServicePrincipal(**ACME, id="ci"), ann)
    assert set(world.snapshot.facts()) == {Workspace(id="acme"), ServicePrincipal(**ACME, id="ci"), ann}
    world.put(elder)
    assert world.snapshot.fact("user", ("acme", "ann")) == elder
    world.remove(elder)
    assert world.snapshot.fact("user", ("acme", "ann")) is None
    assert (world.snapshot.revision, world.snapshot.chain_hash) == (3, world.changes[-1].hash)


def test_removing_what_is_not_there_changes_nothing() -> None:
    """A removal of an unknown fact is harmless, whatever the entity."""
    world = World(policy())
    absent: list[Fact] = [
        User(**ACME, id="ann"),
        Team(**ACME, id="eng"),
        Membership(**ACME, team="eng", user="ann"),
        RoleBinding(**ACME, id="b", role="viewer", user="ann"),
        Resource(**ACME, type="pipeline", id="etl"),
        IpAllowlist(**ACME),
        api_key(),
    ]
    before = list(world.snapshot.facts())
    world.remove(*absent)
    assert list(world.snapshot.facts()) == before


def test_apply_is_atomic() -> None:
    """A change that fails leaves the snapshot as it was, even if some of its effects were fine."""
    world = World(policy())
    before = (world.snapshot.revision, world.snapshot.chain_hash, world.snapshot.bundle, list(world.snapshot.facts()))
    good = effect(User(**ACME, id="ann"))
    activation = effect(ActiveBundle(digest="sha256:two"))
    bad = Effect("planet", ("mars",), None, {})
    draft = ChangeDraft(action="x.put", workspace=None, subject="", effects=(good, activation, bad))
    with pytest.raises(StoreError):
        world.snapshot.apply(next_change(world.snapshot, draft))
    after = (world.snapshot.revision, world.snapshot.chain_hash, world.snapshot.bundle, list(world.snapshot.facts()))
    assert after == before


def test_a_change_twice_is_refused() -> None:
    """Every change is applied once; a repetition is `store_diverged`."""
    world = World(policy())
    with pytest.raises(StoreError, match="at revision 2: revision 1 came instead"):
        world.snapshot.apply(world.changes[0])


def test_bundles() -> None:
    """The active bundle is a fact like others: activated, replaced, and taken away."""
    first, second = policy(digest="sha256:one"), policy(digest="sha256:two")
    world = World(first, second)
    assert world.snapshot.bundle == "sha256:one"
    world.put(Bundle(digest="sha256:two", content_sha256="00"), ActiveBundle(digest="sha256:two"))
    assert world.snapshot.bundle == "sha256:two"
    assert world.snapshot.program is world.programs.program("sha256:two")
    world.remove(ActiveBundle(digest="sha256:two"))
    assert (world.snapshot.bundle, world.snapshot.program) == (None, None)


def test_superseded_bundles() -> None:
    """Nobody asks for their programs: an old one that cannot be had any more stops no fold."""
    first, second = policy(digest="sha256:one"), policy(digest="sha256:two")
    world = World(first, second)
    world.put(ActiveBundle(digest="sha256:lost")).put(User(**ACME, id="ann")).put(ActiveBundle(digest="sha256:two"))
    assert not world.snapshot.is_settled
    assert world.snapshot.program is world.programs.program("sha256:two")
    assert world.snapshot.is_settled


def test_an_active_bundle_that_cannot_be_had() -> None:
    """Facts go on, nothing is decided: every look at the program, and every caller, meets the error, until it can."""
    world = World(policy(digest="sha256:one"))
    world.put(ActiveBundle(digest="sha256:lost"), User(**ACME, id="ann"), user_key())
    assert world.snapshot.fact("user", ("acme", "ann")) is not None
    for _ in range(2):
        with pytest.raises(StoreError, match="`sha256:lost` is not published"):
            decide(ask("userKey00001"), world.snapshot, NOW)
        with pytest.raises(StoreError):
            authorize(Credential("verified", "userKey00001", 1), "pipelines:run", None, world.snapshot, NOW)
        with pytest.raises(StoreError):
            effective_scopes(user_key(), world.snapshot)
    world.put(ActiveBundle(digest="sha256:one"))
    assert decide(ask("userKey00001"), world.snapshot, NOW).bundle == "sha256:one"


def slot(number: int) -> SecretSlot:
    return SecretSlot(number=number, pepper_id="p1", created_at=0)


def test_verifiers_follow_their_slots() -> None:
    """Verifiers come with the change that made a secret and go with its slot or its key."""
    world = World()
    world.put(api_key(slots=[slot(1)]), sealed='{"verifiers":{"serviceKey01":{"1":"01"}}}')
    assert world.snapshot.verifiers("serviceKey01") == {1: b"\x01"}
    world.put(api_key(slots=[slot(1), slot(2)]), sealed='{"verifiers":{"serviceKey01":{"2":"02"}}}')
    assert world.snapshot.verifiers("serviceKey01") == {1: b"\x01", 2: b"\x02"}
    world.put(api_key(slots=[slot(2)]))
    assert world.snapshot.verifiers("serviceKey01") == {2: b"\x02"}
    assert world.snapshot.api_key("serviceKey01") == api_key(slots=[slot(2)])
    world.remove(api_key())
    assert world.snapshot.verifiers("serviceKey01") == {}
    world.put(api_key(slots=[slot(2)]))
    assert world.snapshot.verifiers("serviceKey01") == {}, "the same key made again starts with nothing"


def test_verifiers_of_unknown_keys_are_not_kept() -> None:
    """Secrets without a key are of no use to anybody."""
    world = World()
    world.put(User(**ACME, id="ann"), sealed='{"verifiers":{"ghost":{"1":"01"}}}')
    assert world.snapshot.verifiers("ghost") == {}


# ---- the incremental fold, against fresh ones

IDS = st.sampled_from(["a", "b", "c"])
WORKSPACES = st.sampled_from(["acme", "beta"])
FACTS: st.SearchStrategy[Fact] = st.one_of(
    st.builds(User, workspace=WORKSPACES, id=IDS, suspended=st.booleans()),
    st.builds(Team, workspace=WORKSPACES, id=IDS, parent=st.none() | IDS),
    st.builds(Membership, workspace=WORKSPACES, team=IDS, user=IDS),
    st.builds(
        RoleBinding,
        workspace=WORKSPACES,
        id=IDS,
        role=st.sampled_from(["viewer", "operator", "ghost"]),
        team=IDS,
        resource_type=st.just("pipeline"),
        resource_id=IDS,
    ),
    st.builds(RoleBinding, workspace=WORKSPACES, id=IDS, role=st.sampled_from(["viewer", "operator"]), user=IDS),
    st.builds(Resource, workspace=WORKSPACES, type=st.just("pipeline"), id=IDS, owner=st.none() | IDS),
    st.builds(
        IpAllowlist,
        workspace=WORKSPACES,
        enabled=st.booleans(),
        entries=st.lists(st.sampled_from(["10.0.0.0/8", "any"]).map(lambda c: AllowlistEntry(cidr=c)), max_size=2).map(
            tuple
        ),
    ),
    st.builds(
        ApiKey,
        id=IDS,
        workspace=WORKSPACES,
        principal_kind=st.sampled_from(["user", "service"]),
        principal_id=IDS,
        scopes=st.sampled_from([("pipelines:read",), ("pipelines:run",)]),
        slots=st.just((slot(1),)),
        created_at=st.just(0),
        revoked_at=st.none() | st.just(1),
        cidrs=st.sampled_from([(), ("10.0.0.0/8",)]),
    ),
    st.builds(ActiveBundle, digest=st.sampled_from(["sha256:one", "sha256:two"])),
)
EFFECTS = st.tuples(FACTS, st.booleans()).map(
    lambda pair: effect(pair[0]) if pair[1] else Effect(pair[0].entity, pair[0].key(), None, None)
)
POLICIES = (
    policy(resource_policy(rule("all", "allow"), unregistered="allow"), digest="sha256:one"),
    policy(
        resource_policy(rule("reads", "allow", scopes=["pipelines:read"])),
        scopes=[scope("pipelines:read", "pipeline"), scope("pipelines:run", "pipeline")],
        roles=[role("viewer", "pipelines:run"), role("operator", "pipelines:read")],
        digest="sha256:two",
    ),
)
PROGRAMS = World(*POLICIES).programs
QUESTIONS = [
    ask(key, scope=asked, resource=f"pipeline:{identity}", source_ip="10.1.1.1" if identity == "a" else None)
    for key in "abc"
    for asked in ("pipelines:read", "pipelines:run")
    for identity in "ab"
]


def answers(snapshot: Snapshot, questions: Sequence[Request]) -> list[object]:
    """Every decision, and every user's standing, as it is now."""
    found: list[object] = []
    if snapshot.program is not None:
        found += [snapshot.program.decide(question, snapshot, NOW) for question in questions]
    return found + [snapshot.workspace(w).grants_of(user) for w in ("acme", "beta") for user in "abc"]


@pytest.mark.parametrize(
    "effects",
    [
        [Effect("user", ("acme", "bob"), None, {**ACME, "id": "bob", "name": "again"})],
        [Effect("user", ("acme", "bob"), {**ACME, "id": "bob", "name": "else"}, None)],
        [Effect("user", ("acme", "eve"), {**ACME, "id": "eve"}, None)],
        [effect(User(**ACME, id="eve")), effect(User(**ACME, id="eve"))],
    ],
    ids=["there already", "another before", "not there", "made twice"],
)
def test_an_intact_change_that_tells_another_past_is_refused(effects: list[Effect]) -> None:
    """Its writer did not see what this snapshot saw; nothing of the change is taken."""
    world = World().put(User(**ACME, id="bob"))
    before = list(world.snapshot.facts())
    with pytest.raises(StoreError) as raised:
        world.change([effect(User(**ACME, id="new")), *effects])
    assert (raised.value.code, raised.value.details) == ("store_diverged", {"revision": 2})
    assert "tells another past of user" in raised.value.message
    assert (world.snapshot.revision, list(world.snapshot.facts())) == (1, before)


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(EFFECTS, min_size=1, max_size=3), min_size=1, max_size=12))
def test_incremental_fold(batches: list[list[Effect]]) -> None:
    """After every change, a snapshot that has been asked all along answers as a fresh fold does."""
    snapshot = Snapshot(PROGRAMS)
    changes = []
    for batch in batches:
        draft = ChangeDraft(action="any.put", workspace=None, subject="", effects=tuple(told(snapshot, batch)))
        changes.append(next_change(snapshot, draft))
        snapshot.apply(changes[-1])
        fresh = Snapshot(PROGRAMS)
        for change in changes:
            fresh.apply(change)
        assert answers(snapshot, QUESTIONS) == answers(fresh, QUESTIONS)
        kept = {(w, u): s.grants for w in ("acme", "beta") for u, s in snapshot.workspace(w).moved.items()}
        now = {(w, u): fresh.workspace(w).grants_of(u) for w, u in kept}
        assert all(g in (None, now[place]) for place, g in kept.items()), "nothing kept is stale"
        assert sorted(map(repr, snapshot.facts())) == sorted(map(repr, fresh.facts()))


def test_answers_follow_each_kind_of_change() -> None:
    """Membership, nesting, binding, suspension, deletion: each is seen by the next decision."""
    world = World(policy(resource_policy(rule("all", "allow"))))
    resource = Resource(**ACME, type="pipeline", id="etl-1")
    ann = User(**ACME, id="ann")
    world.put(ann, user_key(), resource, Team(**ACME, id="child", parent="parent"), Team(**ACME, id="parent"))

    def reason() -> str:
        assert world.snapshot.program is not None
        return world.snapshot.program.decide(ask("userKey00001"), world.snapshot, NOW).reason

    member = Membership(**ACME, team="child", user="ann")
    binding = RoleBinding(**ACME, id="b", role="operator", team="parent")
    parent = Team(**ACME, id="parent")
    put, remove, none, allowed = world.put, world.remove, "role_not_granted", "allowed"
    steps: list[tuple[Callable[..., object], Fact, str]] = [
        (put, binding, none),
        (put, member, allowed),
        (put, Team(**ACME, id="child"), none),
        (put, Team(**ACME, id="child", parent="parent"), allowed),
        (remove, parent, none),
        (put, parent, allowed),
        (remove, member, none),
        (put, member, allowed),
        (remove, binding, none),
        (put, binding, allowed),
        (put, msgspec.structs.replace(binding, role="viewer"), none),
        (put, msgspec.structs.replace(binding, team=None, user="ann"), allowed),
        (put, msgspec.structs.replace(ann, suspended=True), "principal_suspended"),
        (put, ann, allowed),
        (remove, resource, "unknown_resource"),
        (put, resource, allowed),
        (remove, ann, none),
    ]
    assert reason() == none
    for number, (edit, fact, expected) in enumerate(steps):
        edit(fact)
        assert reason() == expected, f"step {number}"


def test_a_program_of_another_digest_is_never_used() -> None:
    """A source that gives another bundle than the active one is broken; nothing is decided then."""
    world = World(policy())
    world.programs._programs["sha256:two"] = compile_policy(policy(digest="sha256:three"))
    world.put(ActiveBundle(digest="sha256:two"))
    with pytest.raises(StoreError) as raised:
        world.snapshot.settle()
    assert raised.value.code == "bundle_damaged"
    assert not world.snapshot.is_settled


def test_json_of_facts_round_trips() -> None:
    """The helper's JSON form is what changes carry."""
    key = api_key()
    assert msgspec.convert(to_json(key), ApiKey) == key
