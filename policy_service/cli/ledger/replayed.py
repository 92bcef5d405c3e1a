"""What a replay found, for people and for programs."""

from __future__ import annotations

from typing import Any

import msgspec

from policy_service.cli.shared.screen import Screen
from policy_service.model.instants import NS_PER_S, format_rfc3339
from policy_service.service.auditing.replay_report import Difference, Finding, ReplayReport

_SAID = {
    "torn_line": "a line that was never finished, nor answered",
    "malformed_line": "not a record",
    "unknown_schema": "a record of a newer schema",
    "not_canonical": "a record in another spelling",
    "damaged_file": "a damaged file",
}


def show_replayed(screen: Screen, report: ReplayReport, spent_ns: int, *, as_json: bool) -> None:
    """Print a report."""
    if as_json:
        screen.json({"ok": report.is_clean, "seconds": round(spent_ns / NS_PER_S, 3), **msgspec.to_builtins(report)})
        return
    for finding in report.findings:
        _show_finding(screen, finding)
    hidden = report.differ + report.not_replayed - len(report.findings)
    if hidden > 0:
        screen.line(f"… and {hidden:,} more; see them with `--show`")
        screen.line()
    for line in report.unread_lines:
        place = f"{line.file}:{line.line}" if line.line else line.file
        screen.line(f"{place}: {line.message} [{line.code}]")
    for name, why in report.troubles.items():
        screen.line(f"{name}: {why}" if name != "changes" else why)
    _show_counts(screen, report)
    screen.line(summary(report, spent_ns), "green" if report.is_clean else "red")


def summary(report: ReplayReport, spent_ns: int) -> str:
    """One line: `4,210 records replayed in 0.1 s (…): all the same`, or what is wrong."""
    seconds = max(spent_ns, 1) / NS_PER_S
    rate = f"{seconds:.1f} s, {report.records / seconds:,.0f} a second"
    return f"{counted(report.records, 'record')} replayed ({rate}): {_verdict(report)}"


def _verdict(report: ReplayReport) -> str:
    if not report.records and report.is_clean:
        return "there were none"
    parts = [
        f"{report.differ:,} differ" if report.differ else "",
        f"{report.not_replayed:,} could not be replayed" if report.not_replayed else "",
        "lines could not be read" if sum(n for code, n in report.unread.items() if code != "torn_line") else "",
        "the changes are broken" if "changes" in report.troubles else "",
    ]
    told = [part for part in parts if part]
    if told:
        return ", ".join(told)
    others = sum(report.other_semantics.values())
    return f"all the same, but for {others:,} of other semantics" if others else "all the same"


def _show_counts(screen: Screen, report: ReplayReport) -> None:
    rows: list[tuple[str, str, str]] = [("same", f"{report.same:,}", _revisions(report))]
    for code, count in report.by_code.items():
        fields = ", ".join(f"{name} {number:,}" for name, number in report.by_field.items())
        rows.append((code, f"{count:,}", fields if code == "differs" else ""))
    for version, count in report.other_semantics.items():
        rows.append((f"semantics {version}", f"{count:,}", "decided under another meaning of the engine: not judged"))
    rows += [(code, f"{count:,}", _SAID.get(code, "")) for code, count in report.unread.items()]
    screen.table(("outcome", "records", "about"), rows)


def _revisions(report: ReplayReport) -> str:
    if report.first_revision is None:
        return ""
    return f"revisions {report.first_revision:,} to {report.last_revision:,}, {counted(len(report.bundles), 'policy')}"


def _show_finding(screen: Screen, finding: Finding) -> None:
    """One record; recorded and again stand side by side."""
    screen.parts(
        (finding.record, "bold"),
        (f"  {_instant(finding.at)}  revision {finding.revision}  ", "dim"),
        (f"{finding.message} [{finding.code}]", "red"),
    )
    if finding.differences:
        screen.table(("  field", "recorded", "again"), [_row(difference) for difference in finding.differences])
    screen.line()


def _row(difference: Difference) -> tuple[str, Any, Any]:
    return f"  {difference.field}", _shown(difference.recorded), _shown(difference.again)


def _shown(value: Any) -> Any:
    """A value as a table shows it: texts as they are, lists joined, the rest as JSON."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _instant(at: str) -> str:
    try:
        return format_rfc3339(int(at))
    except (ValueError, OverflowError):
        return at


def counted(number: int, noun: str) -> str:
    """`1 record`, `2 records`, `2 policies`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun.removesuffix('y')}ies" if noun.endswith("y") else f"{number:,} {noun}s"
