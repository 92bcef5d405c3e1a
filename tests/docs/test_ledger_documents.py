"""What auditors are told of a record is what is written."""

from __future__ import annotations

import json
from pathlib import Path

from policy_service.ledger.codec import json_schema

DOCS = Path(__file__).parents[2] / "docs"


def test_the_published_schema_is_the_schema_of_the_record() -> None:
    """`policy-service ledger schema > docs/decision-record.schema.json` writes it anew."""
    assert json.loads((DOCS / "decision-record.schema.json").read_text()) == json_schema()
