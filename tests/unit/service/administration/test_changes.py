"""Reading the changes."""

from __future__ import annotations

import pytest

from policy_service.service.administration import changes as reading
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
def test_pages_make_the_whole_history(house: House, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a page looks at more changes than it may show, or stops looking."""
    monkeypatch.setattr(reading, "_BATCH", 2)
    monkeypatch.setattr(reading, "_MAX_SCANNED", 3)
    for number in range(5):
        house.admin.put_user(OPERATOR, "zeta", f"z{number}")
        house.admin.put_user(TENANT, "acme", f"a{number}")
    seen, cursor = [], None
    while True:
        page = house.admin.list_changes(TENANT, "acme", cursor=cursor, limit=limit)
        seen += [change.subject for change in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ["acme", *(f"acme/a{number}" for number in range(5))]


@pytest.mark.parametrize("store_kind", ["memory"], indirect=True)
@pytest.mark.parametrize("cursor", ["x", encode_cursor("change", ("-1",)), encode_cursor("change", ("1" * 20,))])
def test_a_cursor_that_is_no_revision_is_refused(house: House, cursor: str) -> None:
    """A cursor of changes holds a revision."""
    with refused(house, "invalid_cursor"):
        house.admin.list_changes(OPERATOR, cursor=cursor)


def test_a_feed_shorter_than_its_head_ends_the_page(bare: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read replica may know the head before the changes: the page is short, and goes on later."""
    bare.furnish()
    monkeypatch.setattr(bare.store, "changes_after", lambda *_: [])
    page = bare.admin.list_changes(OPERATOR)
    assert page.items == ()
    assert page.next_cursor == encode_cursor("change", ("0",))


def test_a_cursor_past_the_end_shows_nothing(house: House) -> None:
    """There is nothing after the last change."""
    page = house.admin.list_changes(OPERATOR, cursor=encode_cursor("change", ("999",)))
    assert (page.items, page.next_cursor) == ((), None)
