"""What other rules or facts would have changed, for people and for programs."""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Final

import msgspec
import typer

from policy_service.cli.ledger.replayed import counted
from policy_service.cli.shared.screen import Screen
from policy_service.model.decision import Explanation
from policy_service.model.errors import UsageError
from policy_service.model.instants import NS_PER_S, format_rfc3339
from policy_service.service.auditing.foresee import FLIPS, Example, FlipGroup, Foreseen
from policy_service.service.auditing.least_privilege import LeastPrivilege, new_key_body

FailOn = Annotated[
    str | None,
    typer.Option("--fail-on", metavar="FLIPS", help=f"Exit 1 if there are any of these: {', '.join(FLIPS)}."),
]
GROUPS_SHOWN: Final = 50
_STYLES: Final = {"allow-to-deny": "red", "deny-to-allow": "yellow", "reason-only": "dim"}


def told_flips(text: str | None) -> tuple[str, ...]:
    """The flips that `--fail-on` names. Raises UsageError."""
    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    unknown = sorted(set(names) - set(FLIPS))
    if unknown:
        raise UsageError("usage", f"there is no flip `{unknown[0]}`; `--fail-on` takes {', '.join(FLIPS)}")
    return names


def show_foreseen(screen: Screen, found: Foreseen, spent_ns: int, *, failing: tuple[str, ...], as_json: bool) -> bool:
    """Print what was foreseen; whether it has none of the flips that are to fail."""
    is_good = not any(found.flips[flip] for flip in failing)
    if as_json:
        screen.json({"ok": is_good, "seconds": round(spent_ns / NS_PER_S, 3), **foreseen_document(found)})
        return is_good
    for example in found.examples:
        _show_example(screen, example)
    if found.groups:
        screen.table(
            ("flip", "rule", "workspace", "principal", "type", "scopes", "count"),
            [_row(group) for group in found.groups[:GROUPS_SHOWN]],
        )
        if len(found.groups) > GROUPS_SHOWN:
            screen.line(f"… and {len(found.groups) - GROUPS_SHOWN:,} more groups; `--json` has them all")
        screen.line()
    for code, count in found.left_out.items():
        screen.note(f"{counted(count, 'record')} not compared [{code}]; `ledger replay` tells more")
    screen.line(_summary(found, spent_ns), "green" if is_good else "red")
    return is_good


def _summary(found: Foreseen, spent_ns: int) -> str:
    seconds = max(spent_ns, 1) / NS_PER_S
    rate = f"{seconds:.1f} s, {found.records / seconds:,.0f} a second"
    flips = ", ".join(f"{count:,} {flip}" for flip, count in found.flips.items())
    return f"{counted(found.compared, 'record')} decided anew ({rate}): {flips}"


def _row(group: FlipGroup) -> tuple[object, ...]:
    kind = group.kind
    return (
        kind.flip,
        kind.rule,
        kind.workspace,
        kind.principal,
        kind.resource_type,
        group.scopes,
        f"{group.count:,}",
    )


def foreseen_document(found: Foreseen) -> dict[str, Any]:
    """The JSON form."""
    return {
        "records": found.records,
        "compared": found.compared,
        "left_out": found.left_out,
        "flips": found.flips,
        "groups": [
            {**msgspec.to_builtins(group.kind), "scopes": list(group.scopes), "count": group.count}
            for group in found.groups
        ],
        "examples": [_example_document(example) for example in found.examples],
    }


def _example_document(example: Example) -> dict[str, Any]:
    return {
        **msgspec.to_builtins(example.kind),
        "record": msgspec.to_builtins(example.record),
        "was": _explanation_document(example.was),
        "would_be": _explanation_document(example.would_be),
    }


def _explanation_document(explanation: Explanation | None) -> dict[str, Any] | None:
    if explanation is None:
        return None
    decision = explanation.decision
    return {
        "decision": "allow" if decision.allowed else "deny",
        "reason": decision.reason,
        "check": decision.check,
        "rule": decision.rule,
        "message": decision.message,
        "bundle": decision.bundle,
        "checks": [msgspec.to_builtins(check) for check in explanation.checks],
    }


def _show_example(screen: Screen, example: Example) -> None:
    record, asked = example.record, example.record.request
    screen.parts(
        (example.kind.flip, _STYLES[example.kind.flip]),
        (f"  {asked.scope} on {asked.resource.type}:{asked.resource.id} by {example.kind.principal}", "bold"),
        (f"  {record.id}, {format_rfc3339(int(record.at))}, revision {record.revision}", "dim"),
    )
    rows = [_side("was", example.was), _side("would be", example.would_be)]
    screen.table(("", "decision", "reason", "rule", "because"), rows)
    screen.line()


def _side(name: str, explanation: Explanation | None) -> tuple[object, ...]:
    """One explanation in a row: the check that decided, and what it says."""
    if explanation is None:
        return (f"  {name}", None, None, None, "the facts or rules of its time cannot be had")
    decision = explanation.decision
    failed = [check.detail for check in explanation.checks if check.outcome in ("failed", "faulted")]
    because = failed[0] if failed else f"all {len(explanation.checks)} checks passed"
    return f"  {name}", "allow" if decision.allowed else "deny", decision.reason, decision.rule, because


def show_least_privilege(screen: Screen, found: LeastPrivilege, *, as_json: bool) -> bool:
    """Print what a key needed, and the edit that gives it no more; whether that is proven."""
    body = new_key_body(found)
    if as_json:
        screen.json(_least_document(found, body))
        return found.is_proven
    rows = [
        (scope, f"{count:,}", "needed" if scope in found.needed else "implied") for scope, count in found.used.items()
    ]
    rows = [(scope, count, "not declared any more" if scope in found.undeclared else how) for scope, count, how in rows]
    screen.table(("scope", "used", ""), [*rows, *((scope, "0", "can go") for scope in found.unneeded)])
    screen.line()
    if found.needed:
        screen.line("a key that may do this and no more; then hand it out and revoke the old one:")
        screen.line(f"  {_command(found)}")
        screen.line(f"  policy-service keys revoke {found.key.id} --workspace {found.key.workspace}")
    screen.line(_proof(found), "green" if found.is_proven else "red")
    return found.is_proven


def _use_of(scope: str, found: LeastPrivilege) -> str:
    if scope in found.undeclared:
        return "not declared any more"
    return "needed" if scope in found.needed else "implied by what is needed"


def _proof(found: LeastPrivilege) -> str:
    if not found.used:
        return (
            f"key {found.key.id} was allowed nothing in these records: it needs no scope, or you look too short a time"
        )
    lost, left = found.proof.flips["allow-to-deny"], found.proof.records - found.proof.compared
    records = counted(found.proof.compared, "record")
    if found.is_proven:
        return f"proven on {records}: with {', '.join(found.needed)} nothing that was allowed would have been denied"
    return f"not proven on {records}: {lost:,} would have been denied, {left:,} could not be decided"


def _least_document(found: LeastPrivilege, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "ok": found.is_proven,
        "key": found.key.id,
        "workspace": found.key.workspace,
        "scopes": list(found.key.scopes),
        "used": found.used,
        "undeclared": list(found.undeclared),
        "needed": list(found.needed),
        "unneeded": list(found.unneeded),
        "edit": {"method": "POST", "path": "/v1/keys", "body": body, "then_revoke": found.key.id},
        "proof": foreseen_document(found.proof),
    }


def _command(found: LeastPrivilege) -> str:
    """The same edit as a command line."""
    key = found.key
    words = ["policy-service", "keys", "create", f"--{key.principal_kind}", key.principal_id]
    words += [word for scope in found.needed for word in ("--scope", scope)]
    if key.expires_at is not None:
        words += ["--expires-at", format_rfc3339(key.expires_at)]
    words += [word for cidr in key.cidrs for word in ("--cidr", cidr)]
    words += [word for name, value in key.labels.items() for word in ("--label", f"{name}={value}")]
    return shlex.join([*words, "--workspace", key.workspace])
