"""The whole OpenAPI document, fuzzed against a real server: fitting and unfitting requests, and never a 5xx."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

with warnings.catch_warnings():
    # Not ours to mend: what the fuzzer's own dependencies say when they are imported.
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import Case, GenerationMode
    from schemathesis.specs.openapi import checks as openapi_checks

from policy_service.api.v1_routes import ENDPOINTS
from tests.e2e.processes import Server, answer

EXAMPLES = 100 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 6
ROUTES = ["POST /decide", "POST /decide/batch", *(f"{row.method} {row.path.replace(':path', '')}" for row in ENDPOINTS)]
CHECKS = [
    schemathesis.checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
]


class House:
    """A demonstration, its server, and what the server says of itself."""

    def __init__(self, server: Server, keys: dict[str, str]) -> None:
        self.server = server
        self.keys = keys
        document = server.call("GET", "/openapi.json", None).json()
        self.schema = schemathesis.openapi.from_dict(document)

    def operation(self, route: str) -> Any:
        """The documented operation of a route."""
        method, path = route.split(" ")
        return self.schema[path][method]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server for all routes; its log tells of no bug in the end."""
    data_dir = tmp_path_factory.mktemp("fuzz") / "data"
    keys = answer("init", "--demo", "--data-dir", data_dir)
    with Server(data_dir) as server:
        yield House(server, keys)
    assert "unexpected" not in server.text()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "unfitting"])
@pytest.mark.parametrize("route", ROUTES)
def test_no_request_makes_a_server_error(house: House, route: str, mode: GenerationMode) -> None:
    """And every answer is as documented: status, content type and schema."""
    key = house.keys["caller_key" if route.startswith("POST /decide") else "system_key"]

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(house.operation(route).as_strategy(generation_mode=mode))
    def judge(case: Case) -> None:
        response = case.call(base_url=house.server.url, headers={"Authorization": f"Bearer {key}"})
        case.validate_response(response, checks=CHECKS)

    judge()
