"""Spans, diagnostics, errors and names."""

from __future__ import annotations

import pytest

from policy_service.model.errors import PolicyErrors, RequestError
from policy_service.model.names import split_resource
from policy_service.model.reasons import CHECKS, REASONS, http_status
from policy_service.model.spans import Diagnostic, Span


def test_diagnostics_are_sorted_and_read_as_file_line_column() -> None:
    """Whatever order they were found in, they are shown in reading order, with path and code."""
    late = Diagnostic("wrong-type", "`x` must be text", Span("b.yaml", 2, 3), "$.b")
    early = Diagnostic("unknown-field", "`y` is not a field", Span("a.yaml", 9, 1), "$.a", "warning")
    errors = PolicyErrors([late, early])
    assert errors.diagnostics == (early, late)
    assert str(errors).splitlines() == [
        "a.yaml:9:1: warning: `y` is not a field @ $.a [unknown-field]",
        "b.yaml:2:3: `x` must be text @ $.b [wrong-type]",
    ]
    assert errors.message == "the rule files have 1 error"


def test_a_request_error_carries_code_status_and_details() -> None:
    """What becomes a problem document is all in the error."""
    error = RequestError("unknown_field", "`foo` is not a field", {"field": "foo"}, status=413)
    assert (error.code, error.status, error.details, str(error)) == (
        "unknown_field",
        413,
        {"field": "foo"},
        "`foo` is not a field",
    )


def test_every_reason_belongs_to_a_mandatory_check_but_two() -> None:
    """`allowed` has no check, `policy_error` has two."""
    assert {r.code for r in REASONS.values() if r.check is None} == {"allowed", "policy_error"}
    assert {r.check for r in REASONS.values() if r.check} == set(CHECKS)


def test_an_authors_own_reason_is_403() -> None:
    """Built-in reasons have their own status; all others are 403."""
    assert (http_status("allowed"), http_status("unknown_key"), http_status("production_locked")) == (200, 401, 403)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("pipeline:etl-42", ("pipeline", "etl-42")),
        ("pipeline:a:b/c", ("pipeline", "a:b/c")),
        ("pipeline", None),
        ("pipeline:", None),
        (":etl", None),
        ("Pipeline:etl", None),
        ("pipeline:-x", None),
        ("pipeline:" + "x" * 129, None),
        ("pipeline:é", None),
    ],
)
def test_a_resource_is_split_at_its_first_colon(text: str, parts: tuple[str, str] | None) -> None:
    """Ids may contain colons and slashes; types may not."""
    assert split_resource(text) == parts
