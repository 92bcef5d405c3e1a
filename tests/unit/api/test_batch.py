"""`POST /decide/batch`: many questions, one snapshot, one instant; each item's trouble stays its own."""

from __future__ import annotations

from typing import Any

from policy_service.api.bodies import MAX_BATCH
from policy_service.model.errors import StoreError
from tests.unit.api.desk import Desk, problem_code, question
from tests.unit.service.house import OPERATOR


def batch(desk: Desk, *requests: Any) -> list[dict[str, Any]]:
    """The results of a batch that is answered."""
    answer = desk.call("POST", "/decide/batch", {"requests": list(requests)})
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    assert len(results) == len(requests)
    return results


def test_results_come_in_order_with_their_ids(operator: Desk) -> None:
    """An id stands in the result of a question that carried one, and nowhere else."""
    key = operator.house.key().text
    first, second, third = batch(
        operator, question(key=key, id="a"), question(id="b"), question(key=key, scope="pipelines:read")
    )
    assert (first["id"], first["decision"]) == ("a", "allow")
    assert (second["id"], second["reason"]) == ("b", "missing_credentials")
    assert (third["decision"], "id" in third) == ("allow", False)
    assert len({result["decision_id"] for result in (first, second, third)}) == 3


def test_a_single_question_has_no_id(operator: Desk) -> None:
    """It is a member of batches alone."""
    assert problem_code(operator.decide(id="a"), 400) == "unknown_field"


def test_one_batch_sees_one_snapshot_and_one_instant(operator: Desk) -> None:
    """Even while the clock moves on."""
    operator.house.clock.step_ns = 1000
    results = batch(operator, *(question() for _ in range(20)))
    assert len({result["decided_at"] for result in results}) == 1
    assert len({result["revision"] for result in results}) == 1


def test_a_bad_item_is_answered_in_its_place(operator: Desk) -> None:
    """With a problem of its own; the others are decided."""
    bad: list[tuple[Any, str, str | None]] = [
        ({"id": "x"}, "missing_field", "x"),
        (question(sorce="x"), "unknown_field", None),
        (7, "wrong_type", None),
        (None, "wrong_type", None),
        ([], "wrong_type", None),
        (question(id=5), "wrong_type", None),
        (question(id="y", context={"ticket": "a\nb"}), "control_character", "y"),
        (question(scope="\ud800"), "lone_surrogate", None),
        (question(id="\x00"), "control_character", None),
        (question(id="i" * 129), "invalid_value", None),
    ]
    results = batch(operator, question(), *(item for item, _, _ in bad), question())
    assert [results[0]["decision"], results[-1]["decision"]] == ["deny", "deny"]
    for result, (_, code, name) in zip(results[1:-1], bad, strict=True):
        assert set(result) == {"id", "error"}
        assert (result["error"]["code"], result["error"]["status"], result["id"]) == (code, 400, name)


def test_presented_keys_may_hold_control_characters(operator: Desk) -> None:
    """As in a single question."""
    (result,) = batch(operator, question(key="\x00", source_ip="\x7f"))
    assert result["reason"] == "malformed_key"


def test_each_item_has_its_own_revision(operator: Desk) -> None:
    """One ahead of the store is that item's mistake; one that others wrote is waited for, for the whole batch."""
    operator.decide()
    issued = operator.house.key()
    results = batch(
        operator,
        question(key=issued.text),
        question(min_revision=operator.head() + 1, id="ahead"),
        question(min_revision=operator.head()),
        question(min_revision=0),
    )
    assert results[1]["error"]["code"] == "revision_unknown"
    assert results[1]["id"] == "ahead"
    assert [results[number]["revision"] for number in (0, 2, 3)] == [operator.head()] * 3
    assert results[0]["decision"] == "allow"


def test_an_item_whose_revision_is_not_reached_is_stale(operator: Desk) -> None:
    """The others are decided on what is known."""
    operator.decide()
    operator.house.admin.put_user(OPERATOR, "acme", "mira")
    operator.house.store.changes_after = lambda revision, limit: []
    stale, fine = batch(operator, question(min_revision=operator.head()), question())
    assert (stale["error"]["code"], stale["error"]["status"]) == ("stale", 503)
    assert fine["decision"] == "deny"


def test_a_batch_of_nothing_but_mistakes_is_answered(operator: Desk) -> None:
    """It is a 200 all the same: every item has its answer."""
    (result,) = batch(operator, {})
    assert result["error"]["code"] == "missing_field"


def test_the_envelope_is_strict(operator: Desk) -> None:
    """1 to 1000 questions and nothing else."""
    for body, code in (
        ({}, "missing_field"),
        ({"requests": []}, "invalid_value"),
        ({"requests": [question()] * (MAX_BATCH + 1)}, "invalid_value"),
        ({"requests": {}}, "wrong_type"),
        ({"requests": [question()], "explain": True}, "unknown_field"),
        ([], "wrong_type"),
    ):
        assert problem_code(operator.call("POST", "/decide/batch", body), 400) == code


def test_a_full_batch_is_decided(operator: Desk) -> None:
    """1000 questions in one go."""
    key = operator.house.key().text
    results = batch(operator, *(question(key=key, id=str(number)) for number in range(MAX_BATCH)))
    assert [result["id"] for result in results] == [str(number) for number in range(MAX_BATCH)]
    assert {result["decision"] for result in results} == {"allow"}


def test_a_batch_may_be_larger_than_a_question(operator: Desk) -> None:
    """Up to 4 MiB."""
    long = question(key="k" * 60_000)
    assert len(batch(operator, *[long] * 10)) == 10
    answer = operator.call("POST", "/decide/batch", content=b" " * (4 * 1024 * 1024 + 1))
    assert problem_code(answer, 413) == "body_too_large"


def test_a_question_in_a_batch_may_be_as_deep_as_one_alone(operator: Desk) -> None:
    """The two levels around it do not count."""
    deep: Any = 1
    for _ in range(30):
        deep = [deep]
    assert operator.decide(context={"x": deep}).status_code == 200
    assert batch(operator, question(context={"x": deep}))[0]["decision"] == "deny"
    assert problem_code(operator.decide(context={"x": [deep]}), 400) == "too_deep"


def test_explain_is_no_parameter_of_a_batch(operator: Desk) -> None:
    """And an unknown one is refused."""
    answer = operator.call("POST", "/decide/batch?explain=true", {"requests": [question()]})
    assert problem_code(answer, 400) == "unknown_parameter"


def test_a_batch_waits_for_no_store_that_is_out_of_reach(operator: Desk) -> None:
    """Then there is no answer at all: 503 with the store's code."""
    operator.decide()
    operator.house.admin.put_user(OPERATOR, "acme", "mira")

    def broken(revision: int, limit: int) -> list[Any]:
        raise StoreError("store_unreachable", "the database cannot be reached")

    operator.house.store.changes_after = broken
    answer = operator.call("POST", "/decide/batch", {"requests": [question(min_revision=operator.head())]})
    assert problem_code(answer, 503) == "store_unreachable"
