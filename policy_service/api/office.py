"""Runs administrative routes: caller, query, body, then the work in a thread, then this worker's own snapshot."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec

from policy_service.api.conditional import etag, is_unchanged, precondition_of, refuse_changed
from policy_service.api.endpoints import Call, Endpoint, Outcome
from policy_service.api.entrance import Entrance
from policy_service.api.incoming import Incoming, check_content_type, read_query
from policy_service.api.json_reader import read_json
from policy_service.api.replies import Reply, json_reply, unchanged_reply
from policy_service.api.validation import validate
from policy_service.model.errors import StoreError
from policy_service.service.caller import Caller, target_workspace
from policy_service.service.services import Services

READERS: Final = 4


class Office:
    """One per application.

    It has threads of its own: whoever waits for the database's write lock must not keep the follower from looking for
    changes. Writes go one at a time, as the database would have them anyway.
    """

    def __init__(self, entrance: Entrance, services: Services) -> None:
        self.entrance = entrance
        self._services = services
        self._writer = ThreadPoolExecutor(1, "writer")
        self._compiler = ThreadPoolExecutor(1, "compiler")
        self._readers = ThreadPoolExecutor(READERS, "reader")

    def close(self) -> None:
        """End the threads; work under way is finished first."""
        self._writer.shutdown()
        self._compiler.shutdown()
        self._readers.shutdown()

    async def answer(self, endpoint: Endpoint, incoming: Incoming, path: dict[str, str]) -> Reply:
        """Judge, read, work, apply, answer.

        Raises:
            RequestError: 4xx; nothing changed.
            StoreError: 503; nothing changed, unless the message says so.
        """
        caller = self.entrance.admit(incoming, endpoint.scope)
        call = self._call(endpoint, incoming, path, caller)
        if endpoint.method == "GET":
            outcome = await self._run(self._readers, endpoint, call)
            refuse_changed(incoming, outcome.tag)
            if is_unchanged(incoming, outcome.tag):
                return unchanged_reply(_tagged(outcome))
            return json_reply(_envelope(outcome), _status(endpoint, outcome), _tagged(outcome))
        guarded = call.administration.under(precondition_of(endpoint, incoming, call))
        # INVARIANT: compiling holds up no other change (test_compiling_holds_up_no_other_change).
        threads = self._compiler if endpoint.is_slow else self._writer
        outcome = await self._run(threads, endpoint, msgspec.structs.replace(call, administration=guarded))
        if outcome.changed:
            await self._apply(outcome.revision)
        return json_reply(_envelope(outcome), _status(endpoint, outcome), _tagged(outcome))

    async def _run(self, threads: ThreadPoolExecutor, endpoint: Endpoint, call: Call) -> Outcome:
        return await asyncio.get_running_loop().run_in_executor(threads, endpoint.work, call)

    def _call(self, endpoint: Endpoint, incoming: Incoming, path: dict[str, str], caller: Caller) -> Call:
        query = read_query(incoming.query, endpoint.parameters())
        named = query.pop("workspace", None)
        if self._services.shadow is not None:
            self._services.shadow.follow()
        return Call(
            administration=self._services.administration,
            bundles=self._services.bundles,
            decision_log=self._services.decision_log,
            caller=caller,
            workspace=target_workspace(caller, named),
            named=named,
            path=path,
            query=query,
            body=_body(endpoint, incoming),
            shadow=self._services.shadow,
            revision=self._services.replica.revision,
        )

    async def _apply(self, revision: int) -> None:
        # INVARIANT: the worker that answered a change has applied it
        # (test_the_answering_worker_has_applied_the_change).
        try:
            await self._services.follower.catch_up()
        except StoreError as error:
            raise StoreError(
                error.code,
                f"the change is committed as revision {revision}, but this worker could not apply it: {error.message}",
                {"revision": revision},
            ) from error


def _body(endpoint: Endpoint, incoming: Incoming) -> Any:
    if endpoint.body is None:
        return None
    if not incoming.body and not endpoint.body_required:
        return endpoint.body()
    check_content_type(incoming)
    return validate(endpoint.body, read_json(incoming.body, exempt=endpoint.exempt))


def _status(endpoint: Endpoint, outcome: Outcome) -> int:
    if len(endpoint.statuses) == 1:
        return endpoint.statuses[0]
    return 201 if outcome.created else 200


def _tagged(outcome: Outcome) -> tuple[tuple[str, str], ...]:
    return () if outcome.tag is None else (etag(outcome.tag),)


def _envelope(outcome: Outcome) -> dict[str, Any]:
    return {"data": outcome.data, "revision": outcome.revision, "next_cursor": outcome.next_cursor}
