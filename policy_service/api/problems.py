"""Problem documents: what everything but an answer looks like.

Source: RFC 9457. `type` is a path of this service's own documentation with the code as its fragment, so that a reader
may follow it; programs branch on `code`, which is the same word.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from policy_service.api.challenges import CREDENTIAL_MISTAKES, service_challenge
from policy_service.api.replies import Reply, json_bytes
from policy_service.model.errors import PolicyServiceError, RequestError, StoreError

PROBLEM_JSON: Final = "application/problem+json"
MEMBERS: Final = ("type", "title", "status", "detail", "code")
RETRY_AFTER_S: Final = 1
_FOR_GOOD: Final = frozenset({"store_diverged", "replica_failed"})
"""Errors that no retry can mend while this process lives."""

Headers = tuple[tuple[str, str], ...]


def problem(status: int, code: str, detail: str, details: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A problem document. `details` adds members; it never replaces one of the five of its own."""
    own = {
        "type": f"/docs#{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    return {**own, **{name: value for name, value in (details or {}).items() if name not in own}}


def status_of(error: PolicyServiceError) -> int:
    """The caller's errors have their own status, ours is 503; anything else would be a bug of this service: 500."""
    if isinstance(error, RequestError):
        return error.status
    return 503 if isinstance(error, StoreError) else 500


def problem_of(error: PolicyServiceError) -> dict[str, Any]:
    """The document that tells an error."""
    return problem(status_of(error), error.code, error.message, error.details)


def problem_reply(error: PolicyServiceError, more: Headers = ()) -> Reply:
    """The whole answer that tells an error, with the headers that belong to its status."""
    status = status_of(error)
    return _reply(problem_of(error), _headers(status, error) + more)


def plain_problem_reply(status: int, code: str, detail: str, more: Headers = ()) -> Reply:
    """The answer for trouble that is no error of this service: an unknown path, a wrong method, a bug."""
    return _reply(problem(status, code, detail), more)


def _reply(document: dict[str, Any], headers: Headers) -> Reply:
    own = (("content-type", PROBLEM_JSON), ("cache-control", "no-store"))
    return Reply(document["status"], own + headers, json_bytes(document))


def _headers(status: int, error: PolicyServiceError) -> Headers:
    if status in (401, 403) or error.code in CREDENTIAL_MISTAKES:
        return (("www-authenticate", service_challenge(error.code, error.details.get("scope"))),)
    if status == 503 and error.code not in _FOR_GOOD:
        return (("retry-after", str(error.details.get("retry_after_s", RETRY_AFTER_S))),)
    # The rest of an oversized body is not worth reading; a request too large to be recorded was read to its end.
    return (("connection", "close"),) if status == 413 and error.code != "request_too_large" else ()
