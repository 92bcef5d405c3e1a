"""What a ledger says after a revocation: everything is counted, and no more than a bound is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_service.ledger.record import RecordedCredential, RecordedRequest, RecordedResource
from policy_service.service.auditing import receipts
from policy_service.service.auditing.receipts import RevocationReceipt, RevokedPrincipal, check_revocation
from tests.ledger_houses import LedgerHouse

AT = 1_800_000_000_000_000_000
RECEIPT = RevocationReceipt(
    key_id="AAAAAAAAAAAA",
    workspace="acme",
    principal=RevokedPrincipal("service", "ci"),
    revoked_at=str(AT),
    reason=None,
    actor="local:0",
    revision=5,
    change_hash="0" * 64,
)
OF_THE_KEY = RecordedRequest(
    credential=RecordedCredential(outcome="verified", key_id=RECEIPT.key_id, slot=1),
    scope="pipelines:run",
    resource=RecordedResource(type="pipeline", id="etl-1"),
)


def test_everything_is_counted_and_the_first_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "SHOWN", 2)
    house = LedgerHouse(tmp_path / "data")
    shard = house.open_shard()
    told = [("deny", 9)] * 2 + [("allow", 4)] * 3 + [("allow", 5)] * 4
    for number, (decision, revision) in enumerate(told, start=1):
        house.write(
            shard, 1, 1, at=str(AT + number), decision=decision, reason="x", revision=revision, request=OF_THE_KEY
        )

    report = check_revocation(RECEIPT, house.folder, None)
    house.close()

    assert (report.decisions, report.denied) == (9, 2)
    assert (report.late_allow_count, report.violation_count) == (3, 4)
    assert [len(found) for found in (report.listed, report.late_allows, report.violations)] == [2, 2, 2]
    assert report.longest_lag_ns == 5
    assert not report.is_good
