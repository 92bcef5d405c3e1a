"""The ten-line policy enforcement point of the callers' guide, against a real server."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.e2e.processes import Server, answer

ROOT = Path(__file__).parents[2]
PIPELINE = {"type": "pipeline", "id": "etl-42", "workspace": "demo"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], Server]]:
    """The demonstration's keys, and its server."""
    data = tmp_path_factory.mktemp("demo") / "data"
    keys = answer("init", "--demo", "--data-dir", data)
    with Server(data) as server:
        yield keys, server


@pytest.fixture
def pep(demo: tuple[dict[str, str], Server], monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The example, imported as its reader would."""
    keys, server = demo
    monkeypatch.setenv("POLICY_SERVICE_URL", server.url)
    monkeypatch.setenv("POLICY_SERVICE_KEY", keys["caller_key"])
    spec = importlib.util.spec_from_file_location("pep", ROOT / "docs/examples/pep.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "pep", module)
    spec.loader.exec_module(module)
    with module.client:
        yield module


def test_the_example_lets_through_what_is_allowed(pep: ModuleType, demo: tuple[dict[str, str], Server]) -> None:
    """An allow becomes a 200."""
    assert pep.enforce(demo[0]["service_key"], "pipelines:run", PIPELINE, "203.0.113.7") == (200, {})


def test_the_example_passes_a_deny_on(pep: ModuleType, demo: tuple[dict[str, str], Server]) -> None:
    """A deny becomes the status and the code that the decision names."""
    status, body = pep.enforce(demo[0]["service_key"], "pipelines:run", {**PIPELINE, "workspace": "acme"}, "::1")
    assert (status, body["code"]) == (403, "workspace_mismatch")
    status, body = pep.enforce("nonsense", "pipelines:run", PIPELINE, "203.0.113.7")
    assert (status, body["code"]) == (401, "malformed_key")


def test_the_example_allows_nothing_without_a_decision(pep: ModuleType, demo: tuple[dict[str, str], Server]) -> None:
    """A refused question and a server that is not there are both 503, never an allow."""
    assert pep.enforce(demo[0]["service_key"], "pipelines:run\x00", PIPELINE, "203.0.113.7")[0] == 503
    pep.client.base_url = "http://127.0.0.1:9"
    assert pep.enforce(demo[0]["service_key"], "pipelines:run", PIPELINE, "203.0.113.7")[0] == 503
