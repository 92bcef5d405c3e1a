"""Deciding again: who is of one kind, and who is not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from policy_service.service.auditing.archive import ArchivedPrograms
from policy_service.service.auditing.history import History
from policy_service.service.auditing.record_order import Compared
from policy_service.service.auditing.rederive import Derivation, Rederiver
from tests.unit.service.house import OPERATOR, RULE_FILES
from tests.unit.service.recorded import Recorded

APART = {
    "nobody": 'resource.id == "etl-1"',
    "key.id": 'key.id == "{first}"',
    "key.labels": '"team" in key.labels',
    "key.created_at": 'key.created_at > timestamp("2000-01-01T00:00:00Z")',
    "principal.id": 'principal.id == "ada"',
}


def derived(recorded: Recorded) -> list[Derivation]:
    """What is derived for all that was recorded."""
    archive, rederiver = recorded.archive(), Rederiver()
    history = History(archive, ArchivedPrograms(archive), told=rederiver.upset)
    found = []
    for text in recorded.lines():
        line = msgspec.json.decode(text, type=Compared)
        assert history.reach(line.revision)
        rederiver.use(history.snapshot)
        found.append(rederiver.derive(line.request, int(line.at)))
    return found


@pytest.mark.parametrize("name", APART)
def test_bearers_are_of_one_kind_where_no_condition_tells_them_apart(tmp_path: Path, name: str) -> None:
    past = Recorded(tmp_path)
    house = past.house
    first, second = house.key(), house.key()
    condition = APART[name].format(first=first.api_key.id)
    rules = f"resource: pipeline\nrules:\n  - name: r\n    effect: allow\n    when: '{condition}'\n"
    published = house.bundles.publish(OPERATOR, {**RULE_FILES, "resources/pipeline.yaml": rules})
    assert published.fact is not None
    house.bundles.activate(OPERATOR, published.fact.digest)
    past.ask(first.text, second.text, first.text)

    kinds = [one.bearer.kind for one in derived(past)]

    assert kinds[0] is kinds[2]
    assert (kinds[0] is kinds[1]) == (name == "nobody")
    assert past.replayed().is_clean
