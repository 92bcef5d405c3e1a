"""`/v1`: bundles, published and activated. The operator's alone."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

import msgspec

from policy_service.api.documents import bundle_document, published_document
from policy_service.api.endpoints import Call, Outcome
from policy_service.api.incoming import BATCH_LIMIT
from policy_service.model.errors import PolicyErrors, RequestError
from policy_service.model.facts import Bundle
from policy_service.service.deciding.shadow import ShadowReport
from policy_service.service.policies.bundles import operator_only
from policy_service.service.results import Found

FILES_LIMIT: Final = BATCH_LIMIT
MAX_DIAGNOSTICS: Final = 100
"""Mistakes told at once."""


_NONE: Final = ShadowReport(digest=None, state="off", compared=0, failures=0, flips={}, examples=())


class _FileTexts(Container[tuple[str, ...]]):
    """The paths of rule files' texts in the body: text has lines, and a stray control is the language's to tell."""

    def __contains__(self, path: object) -> bool:
        return isinstance(path, tuple) and len(path) == 2 and path[0] == "files"


FILE_TEXTS: Final = _FileTexts()


def publish_bundle(call: Call) -> Outcome:
    """It decides nothing yet; every worker links it."""
    try:
        result = call.bundles.publish(call.caller, call.body.files, note=call.body.note)
    except PolicyErrors as errors:
        raise _invalid(errors) from errors
    assert result.fact is not None  # publishing always leaves a bundle
    return Outcome(published_document(result.fact), result.revision, created=result.created, changed=True)


def _invalid(errors: PolicyErrors) -> RequestError:
    found = errors.diagnostics
    more = f" (and {len(found) - 1} more, see `diagnostics`)" if len(found) > 1 else ""
    told = [diagnostic.document() for diagnostic in found[:MAX_DIAGNOSTICS]]
    return RequestError("invalid_policy", f"{errors.message}: {found[0]}{more}", {"diagnostics": told})


def activate_bundle(call: Call) -> Outcome:
    """Holds from the next decision on this worker."""
    result = call.bundles.activate(call.caller, call.path["digest"], note=call.body.note, force=call.force())
    return Outcome({"digest": call.path["digest"]}, result.revision, created=False, changed=True)


def show_bundle(call: Call) -> Outcome:
    """With its files."""
    return _whole(call, call.bundles.get_bundle(call.caller, call.path["digest"]))


def show_active_bundle(call: Call) -> Outcome:
    """The one that decides, with its files."""
    return _whole(call, call.bundles.active_bundle(call.caller))


def start_shadow(call: Call) -> Outcome:
    """Compared from the next decision on that finds it linked."""
    result = call.bundles.set_shadow(call.caller, call.body.digest, note=call.body.note)
    return Outcome({"digest": call.body.digest}, result.revision, created=result.created, changed=True)


def end_shadow(call: Call) -> Outcome:
    """What was counted is forgotten."""
    result = call.bundles.end_shadow(call.caller)
    return Outcome(None, result.revision, changed=True)


def show_shadow(call: Call) -> Outcome:
    """As this worker has seen it."""
    operator_only(call.caller)
    report = _NONE if call.shadow is None else call.shadow.report()
    flips = [
        {"change": change, "reason": reason, "rule": rule or None, "count": count}
        for (change, reason, rule), count in sorted(report.flips.items(), key=lambda item: -item[1])
    ]
    return Outcome({**msgspec.structs.asdict(report), "flips": flips, "examples": list(report.examples)}, call.revision)


def _whole(call: Call, found: Found[Bundle]) -> Outcome:
    files = call.bundles.files(found.fact.digest) or {}
    return Outcome(bundle_document(found.fact, files), found.revision)
