"""What auditors are told of a record is what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from policy_service.ledger.codec import json_schema

DOCS = Path(__file__).parents[2] / "docs"


def test_the_published_schema_is_the_schema_of_the_record() -> None:
    """`policy-service ledger schema > docs/decision-record.schema.json` writes it anew."""
    assert json.loads((DOCS / "decision-record.schema.json").read_text()) == json_schema()


def test_every_member_of_a_record_is_explained() -> None:
    """Each member of each part stands in the auditors' page."""
    text = (DOCS / "auditors.md").read_text()
    parts = json_schema()["$defs"]
    paths = [*_members(parts, "DecisionRecord"), *_members(parts, "RecordedCaller"), *_members(parts, "RecordedFacts")]
    for name in ("credential", "resource"):
        part = parts[f"Recorded{name.capitalize()}"]
        paths += [f"{name}.{member}" for member in part["properties"]]
    paths += [name for name in _members(parts, "RecordedRequest") if name not in ("credential", "resource")]
    assert [path for path in paths if f"`{path}`" not in text] == []


def _members(parts: dict[str, Any], part: str) -> list[str]:
    return list(parts[part]["properties"])
