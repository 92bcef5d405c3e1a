"""Setting up: once, whole, and a demonstration that shows what it promises."""

from __future__ import annotations

import pytest
from rich.pretty import pretty_repr

from policy_service.model.errors import PolicyErrors, RequestError, UsageError
from policy_service.model.facts import ServicePrincipal, User, Workspace
from policy_service.service.policies.policy_folder import read_folder, shipped_folder
from policy_service.service.setup import Initialized
from tests.unit.service.house import OPERATOR, OTHER_FILES, RULE_FILES, House, ask

SHIPPED = read_folder(shipped_folder())


def _scopes(house: House, text: str | None) -> tuple[str, ...]:
    assert text is not None
    house.replica.catch_up()
    credential = house.credentials.check(text, house.replica.view())
    assert credential.key_id is not None
    return house.stored_key(credential.key_id).scopes


def test_a_first_run_makes_the_operators_house(bare: House) -> None:
    """Workspace `system`, an active policy, and the operator's key, shown once."""
    made = bare.setup.initialize(OPERATOR, RULE_FILES)
    assert (made.workspace, made.created, made.revision) == ("system", True, bare.store.head())
    assert made.bundle == bare.bundles.active()
    assert _scopes(bare, made.system_key) == (
        "admin:organization",
        "decisions:evaluate",
        "decisions:explain",
        "decisions:read",
    )
    assert (made.caller_key, made.admin_key, made.user_key, made.service_key) == (None, None, None, None)
    assert [w.id for w in bare.store.read(lambda r: r.find(Workspace))] == ["system"]


def test_a_second_run_changes_nothing(bare: House) -> None:
    """No key, no change; other rule files do not replace the active ones."""
    first = bare.setup.initialize(OPERATOR, RULE_FILES)
    again = bare.setup.initialize(OPERATOR, OTHER_FILES)
    assert (again.created, again.revision, again.bundle) == (False, first.revision, first.bundle)
    assert again.system_key is None


def test_an_interrupted_run_is_finished_by_the_next(bare: House) -> None:
    """Whatever part was made already is kept."""
    bare.admin.create_workspace(OPERATOR, "system")
    made = bare.setup.initialize(OPERATOR, RULE_FILES)
    assert made.created
    assert made.system_key is not None


def test_the_operators_key_administers_every_workspace(bare: House) -> None:
    """It passes the gate for each of its scopes, as an operator."""
    made = bare.setup.initialize(OPERATOR, RULE_FILES)
    bare.replica.catch_up()
    for scope in ("admin:organization", "decisions:evaluate", "decisions:explain"):
        assert bare.gate.admit(made.system_key, scope, "192.0.2.1").is_operator


@pytest.fixture
def demo(bare: House) -> tuple[House, Initialized]:
    made = bare.setup.initialize(OPERATOR, SHIPPED, demo=True)
    bare.replica.catch_up()
    return bare, made


def test_the_demonstration_gives_five_keys_that_do_what_they_promise(demo: tuple[House, Initialized]) -> None:
    """The caller's in `system`, the administrator's, the user's and the service's in `demo`."""
    house, made = demo
    assert made.workspace == "demo"
    assert _scopes(house, made.caller_key) == ("decisions:evaluate", "decisions:explain")
    assert _scopes(house, made.admin_key) == ("admin:organization",)
    assert _scopes(house, made.service_key) == ("pipelines:read", "pipelines:run")
    assert _scopes(house, made.user_key) == ("pipelines:read", "pipelines:run")
    assert house.gate.admit(made.caller_key, "decisions:evaluate", None).is_operator
    assert house.gate.admit(made.caller_key, "decisions:explain", None).is_operator
    admin = house.gate.admit(made.admin_key, "admin:organization", None)
    assert (admin.workspace, admin.is_operator) == ("demo", False)
    with pytest.raises(RequestError) as raised:
        house.gate.admit(made.service_key, "admin:organization", None)
    assert raised.value.code == "insufficient_scope"


def test_the_demonstration_decides_as_the_readme_shows(demo: tuple[House, Initialized]) -> None:
    """Allowed and denied for different reasons, by the shipped rules."""
    house, made = demo

    def reason(key: str | None, scope: str, resource: str) -> str:
        return house.decide(key, scope=scope, resource=resource, workspace="demo").decision.reason

    assert reason(made.service_key, "pipelines:run", "pipeline:anything") == "allowed"
    assert reason(made.service_key, "pipelines:read", "pipeline:anything") == "allowed"
    assert reason(made.user_key, "pipelines:run", "pipeline:etl-sandbox") == "allowed"
    assert reason(made.user_key, "pipelines:run", "pipeline:etl-nightly") == "production_locked"
    assert reason(made.service_key, "connections:read", "connection:warehouse") == "insufficient_scope"
    assert reason(made.service_key, "pipelines:run", "connection:warehouse") == "scope_resource_mismatch"
    assert reason(made.user_key, "connections:read", "connection:warehouse") == "insufficient_scope"
    assert reason("nonsense", "pipelines:run", "pipeline:anything") == "malformed_key"


def test_taking_the_demo_user_out_of_the_team_denies_them(demo: tuple[House, Initialized]) -> None:
    """The tour's second lesson."""
    house, made = demo
    users = [user.id for user in house.store.read(lambda r: r.find(User, workspace="demo"))]
    assert users == ["ada", "boris"]
    house.admin.remove_member(OPERATOR, "demo", "pipeline-runners", "ada")
    answered = house.decide(made.user_key, resource="pipeline:etl-sandbox", workspace="demo")
    assert answered.decision.reason == "role_not_granted"


def test_the_demonstration_refuses_a_store_that_holds_anything(bare: House) -> None:
    """It would mix toys into somebody's facts."""
    bare.setup.initialize(OPERATOR, RULE_FILES)
    head = bare.store.head()
    with pytest.raises(UsageError) as raised:
        bare.setup.initialize(OPERATOR, RULE_FILES, demo=True)
    assert raised.value.code == "not_empty"
    assert bare.store.head() == head


def test_a_policy_without_a_fitting_role_leaves_the_store_empty(bare: House) -> None:
    """The mistake is found before anything is written; so are mistakes in the files."""
    with pytest.raises(UsageError) as raised:
        bare.setup.initialize(OPERATOR, {**RULE_FILES, "roles.yaml": "roles: {}\n"}, demo=True)
    assert raised.value.code == "no_demo_role"
    with pytest.raises(PolicyErrors):
        bare.setup.initialize(OPERATOR, {"chain.yaml": ""}, demo=True)
    assert bare.store.head() == 0


def test_the_demo_role_is_the_smallest_that_suffices(bare: House) -> None:
    """A demonstration grants no more than it shows."""
    bare.setup.initialize(OPERATOR, RULE_FILES, demo=True)
    (binding,) = bare.admin.list_bindings(OPERATOR, "demo").items
    assert (binding.role, binding.team) == ("operator", "pipeline-runners")


def test_fresh_demo_keys_work_beside_the_old_ones(demo: tuple[House, Initialized]) -> None:
    """All four anew, no operator's key among them."""
    house, made = demo
    fresh = house.setup.issue_demo_keys(OPERATOR)
    assert fresh.system_key is None
    assert {fresh.caller_key, fresh.admin_key, fresh.user_key, fresh.service_key}.isdisjoint(
        {made.caller_key, made.admin_key, made.user_key, made.service_key}
    )
    for key in (made.service_key, fresh.service_key):
        assert house.decide(key, workspace="demo").decision.allowed


def test_fresh_demo_keys_need_a_demonstration(bare: House) -> None:
    """None at all, none of that kind, or one that is no longer whole."""
    for prepare in (
        lambda: None,
        lambda: bare.setup.initialize(OPERATOR, RULE_FILES),
    ):
        prepare()
        with pytest.raises(UsageError) as raised:
            bare.setup.issue_demo_keys(OPERATOR)
        assert raised.value.code == "no_demo"


def test_fresh_demo_keys_tell_which_part_is_missing(demo: tuple[House, Initialized]) -> None:
    """A principal that somebody deleted is named, and not made again."""
    house, _ = demo
    house.admin.delete_service_principal(OPERATOR, "demo", "ci")
    with pytest.raises(UsageError, match="`ci`") as raised:
        house.setup.issue_demo_keys(OPERATOR)
    assert raised.value.code == "no_demo"
    assert house.store.read(lambda r: r.get(ServicePrincipal, ("demo", "ci"))) is None


def test_nothing_shown_of_these_objects_holds_a_secret(demo: tuple[House, Initialized]) -> None:
    """repr and str of what carries keys: the result of init, an issued key, a question, a pepper."""
    house, made = demo
    issued = house.key("demo", principal="another")
    texts = [made.caller_key, made.admin_key, made.user_key, made.service_key, made.system_key, issued.text]
    secrets = [text[-28:-6] for text in texts if text is not None]
    assert len(secrets) == 6
    house.decide(issued.text, workspace="demo")
    things = [made, issued, ask(issued.text), house.peppers, house.credentials, house.sink.decided, house.store.changes]
    things += [list(house.store.facts()), house.replica.view(), house.gate, house.admin, house.setup]
    shown = " ".join(f"{thing!r} {thing!s} {pretty_repr(thing)}" for thing in things)
    assert not [secret for secret in secrets if secret in shown]
    assert "key=None" in repr(ask(None))
    assert "key='…'" in repr(ask(issued.text))
