"""What the ledger says about a revocation, for people and for programs."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from policy_service.cli.shared.nouns import to_the_second
from policy_service.cli.shared.screen import Screen
from policy_service.model.instants import MAX_NS, MIN_NS, format_rfc3339
from policy_service.service.auditing.receipts import DecisionAfter, RevocationReport

_COLUMNS: Final = ("decided at", "after", "decision", "reason", "revision", "caller", "id", "verdict")
_TABLED: Final = 50
"""Decisions in a table; JSON has more of them."""


def revocation_document(report: RevocationReport) -> dict[str, Any]:
    """The JSON form."""
    return {"ok": report.is_good, **msgspec.to_builtins(report)}


def show_revocation(screen: Screen, report: RevocationReport) -> None:
    """Every decision on the key after its revocation, and what is to be thought of it."""
    receipt = report.receipt
    screen.line()
    screen.line(
        f"key {receipt.key_id} of {receipt.principal.kind} {receipt.principal.id} in {receipt.workspace}: revoked "
        f"{_instant(receipt.revoked_at)} by {receipt.actor}, change {receipt.revision}"
    )
    for trouble in report.troubles:
        screen.line(f"the receipt does not hold: {trouble}", "red")
    if report.listed:
        screen.table(_COLUMNS, [_row(report, one) for one in report.listed[:_TABLED]])
    if report.decisions > _TABLED:
        screen.note(f"the first {_TABLED} of {report.decisions:,}; `--json` has more")
    screen.line(verdict(report), "green" if report.is_good else "red")


def verdict(report: RevocationReport) -> str:
    """One line."""
    if report.troubles:
        return "the ledger does not bear out this receipt"
    if report.violation_count:
        return f"{_count(report.violation_count, 'allow')} on facts that had seen the revocation: this must not happen"
    counted = f"{_count(report.decisions, 'decision')} on it since, {report.denied:,} denied"
    if not report.late_allow_count:
        return f"{counted}: never allowed again"
    late = f"{_count(report.late_allow_count, 'late allow')}, the longest {lag(report.longest_lag_ns)} after it"
    return f"{counted}; {late}, all on facts that had not seen it yet"


def lag(ns: int) -> str:
    """A time span for people: `12.3 ms`, `4.0 s`."""
    return f"{ns / 1e6:,.1f} ms" if abs(ns) < 1_000_000_000 else f"{ns / 1e9:,.1f} s"


def _row(report: RevocationReport, one: DecisionAfter) -> tuple[Any, ...]:
    mark = "ok"
    if one.decision == "allow":
        mark = "VIOLATION" if one.revision >= report.receipt.revision else "late"
    at = to_the_second(_instant(one.at))
    return at, lag(one.lag_ns), one.decision, one.reason, one.revision, one.caller, one.id, mark


def _instant(ns: str) -> str:
    return format_rfc3339(int(ns)) if ns.isdigit() and MIN_NS <= int(ns) <= MAX_NS else ns


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
