"""Reading the changes."""

from __future__ import annotations

from typing import Any

import pytest

from policy_service.service.administration.changes import Order, Wanted
from policy_service.service.administration.paging import encode_cursor
from tests.unit.service.house import OPERATOR, TENANT, House
from tests.unit.service.refusals import refused


def test_the_operator_sees_every_change_in_order(house: House) -> None:
    """Bundles too; each intact, each without its secrets."""
    house.key()
    page = house.admin.list_changes(OPERATOR)
    assert [change.revision for change in page.items] == list(range(1, house.store.head() + 1))
    assert page.next_cursor is None
    assert [change.action for change in page.items[:3]] == ["bundle.publish", "bundle.activate", "workspace.create"]
    assert all(change.sealed is None and change.is_intact() for change in page.items)
    assert page.items[-1].sealed_sha256 is not None


def test_a_tenant_sees_its_own_changes(house: House) -> None:
    """Nothing of other workspaces, nothing of bundles."""
    house.admin.put_user(OPERATOR, "zeta", "eve")
    house.admin.put_user(TENANT, "acme", "ada")
    page = house.admin.list_changes(TENANT, "acme")
    assert [change.action for change in page.items] == ["workspace.create", "user.put"]
    assert {change.workspace for change in page.items} == {"acme"}


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("order", ["oldest", "newest"])
def test_pages_make_the_whole_history(house: House, limit: int, order: Order) -> None:
    """In either order; what is written between two pages neither repeats nor hides one."""
    for number in range(5):
        house.admin.put_user(OPERATOR, "zeta", f"z{number}")
        house.admin.put_user(TENANT, "acme", f"a{number}")
    seen, cursor, written = [], None, 0
    while True:
        page = house.admin.list_changes(TENANT, "acme", order=order, cursor=cursor, limit=limit)
        seen += [change.subject for change in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        if written < 2:
            house.admin.put_user(TENANT, "acme", f"late{written}")
            written += 1
    late = [f"acme/late{number}" for number in range(written)]
    history = ["acme", *(f"acme/a{number}" for number in range(5))]
    assert seen == ([*history, *late] if order == "oldest" else history[::-1])


def test_changes_are_found_by_who_what_and_when(house: House) -> None:
    """Each filter alone, and all of them together; a subject with or without its workspace."""
    house.clock.advance(10)
    start = house.clock.time
    house.admin.put_user(TENANT, "acme", "ada")
    house.clock.advance(10)
    house.admin.put_user(OPERATOR, "acme", "ada", suspended=True)
    house.admin.put_team(TENANT, "acme", "data")
    head = house.store.head()

    def found(**wanted: Any) -> list[int]:
        page = house.admin.list_changes(TENANT, "acme", wanted=Wanted(**wanted))
        assert page.next_cursor is None
        return [change.revision - head for change in page.items]

    assert found(actor=TENANT.actor) == [-2, 0]
    assert found(actor=OPERATOR.actor)[-1] == -1
    assert found(action="user.put") == [-2, -1]
    assert found(entity="team") == [0]
    assert found(subject="ada") == found(subject="acme/ada") == [-2, -1]
    assert found(since=start + 1) == [-1, 0]
    assert found(since=start, until=start + 1) == [-2]
    assert found(after=head - 1) == [0]
    assert found(actor=TENANT.actor, entity="user", subject="ada", since=start, until=start + 1) == [-2]
    assert found(actor=TENANT.actor, entity="user", since=start + 1) == []
    assert house.admin.list_changes(OPERATOR, wanted=Wanted(subject="ada")).items == ()


def test_what_is_looked_for_is_bounded_text(house: House) -> None:
    """Else a filter could carry anything into the database's log."""
    for text in ("a" * 513, "a\x00", "\x1b[2J"):
        with refused(house, "invalid_text"):
            house.admin.list_changes(TENANT, "acme", wanted=Wanted(subject=text))


def test_one_change_is_shown_to_whom_it_concerns(house: House) -> None:
    """Another workspace's, and none at all, are the same to a tenant; secrets are told by their hash."""
    foreign = house.store.head()
    house.key()
    mine = house.store.head()
    change, head = house.admin.get_change(TENANT, "acme", mine)
    assert (change.action, change.sealed, head) == ("api_key.create", None, mine)
    assert change.is_intact()
    assert house.admin.get_change(OPERATOR, None, foreign)[0].workspace == "zeta"
    for revision in (0, foreign, mine + 1):
        with refused(house, "not_found", 404):
            house.admin.get_change(TENANT, "acme", revision)
    with refused(house, "operator_only", 403):
        house.admin.get_change(TENANT, None, mine)
    with refused(house, "workspace_mismatch", 403):
        house.admin.get_change(TENANT, "zeta", foreign)


@pytest.mark.parametrize("store_kind", ["memory"], indirect=True)
@pytest.mark.parametrize(
    "cursor", ["x", encode_cursor("change-oldest", ("-1",)), encode_cursor("change-oldest", ("1" * 20,))]
)
def test_a_cursor_that_is_no_revision_is_refused(house: House, cursor: str) -> None:
    """A cursor of changes holds a revision."""
    with refused(house, "invalid_cursor"):
        house.admin.list_changes(OPERATOR, cursor=cursor)


def test_a_cursor_past_the_end_shows_nothing(house: House) -> None:
    """There is nothing after the last change."""
    page = house.admin.list_changes(OPERATOR, cursor=encode_cursor("change-oldest", ("999",)))
    assert (page.items, page.next_cursor) == ((), None)
