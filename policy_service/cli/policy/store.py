"""Published bundles, as `/v1` has them: publish, switch, look up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from policy_service.cli.shared.client import Api, connect
from policy_service.cli.shared.environment import Session
from policy_service.model.errors import UsageError

DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
PREFIX: Final = re.compile(r"sha256:[0-9a-f]{6,64}")
_SHOWN: Final = 12


def publish(api: Api, files: dict[str, str], note: str) -> str:
    """Store rule files on the server; their digest."""
    answer = api.call("POST", "bundles", body={"files": files, "note": note})
    return str(answer["data"]["digest"])


def switch(api: Api, digest: str, note: str, force: bool) -> dict[str, Any]:
    """Let a published bundle decide."""
    params = {"force": True} if force else None
    return api.call("POST", f"bundles/{digest}/activate", params=params, body={"note": note})


def activations(api: Api, limit: int | None = None) -> dict[str, Any]:
    """The answer of `/v1/changes` for activations, each with the digest before and after."""
    wanted = {"action": "bundle.activate", "order": "newest"}
    answer = api.pages("changes", params=wanted, limit=limit)
    return {**answer, "data": [_activation(change) for change in answer["data"]]}


def _activation(change: dict[str, Any]) -> dict[str, Any]:
    effect = next(effect for effect in change["effects"] if effect["entity"] == "active_bundle")
    before = effect["before"]
    return {
        "revision": change["revision"],
        "at": change["at"],
        "actor": change["actor"],
        "digest": effect["after"]["digest"],
        "previous": None if before is None else before["digest"],
        "note": change["note"],
    }


def whole_digest(api: Api, text: str) -> str:
    """The digest that a text is, or is the beginning of among those that were ever active.

    Raises:
        UsageError: `no_such_digest`.
    """
    if DIGEST.fullmatch(text):
        return text
    if not PREFIX.fullmatch(text):
        raise UsageError("no_such_digest", f"`{text}` is no digest: `sha256:` and at least 6 hexadecimal digits")
    found = sorted({item["digest"] for item in activations(api)["data"] if item["digest"].startswith(text)})
    if len(found) != 1:
        what = "several bundles begin" if found else "no bundle that was active begins"
        raise UsageError("no_such_digest", f"{what} with `{text}`; see `policy history --json`")
    return str(found[0])


def short(digest: str) -> str:
    """A digest as tables show it."""
    return f"{digest[: len('sha256:') + _SHOWN]}…"


def stored_files(session: Session, digest: str | None, data_dir: Path | None, url: str | None) -> dict[str, str]:
    """The rule files of a published bundle; of the active one for None."""
    with connect(session, data_dir=data_dir, url=url, workspace=None, of_workspace=False) as api:
        path = "active-bundle" if digest is None else f"bundles/{whole_digest(api, digest)}"
        files: dict[str, str] = api.call("GET", path)["data"]["files"]
    return files
