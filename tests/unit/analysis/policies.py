"""Small policies for proofs: files with one rule or statement changed."""

from __future__ import annotations

from policy_service.analysis.prove import Finding, prove
from policy_service.analysis.solving import Budget
from policy_service.language.invariants import load_invariants
from policy_service.language.load import load_policy

CHAIN = "chain: [{check: credential}, {check: revocation}, {check: workspace}, {check: scope}, {check: rbac}, " + (
    "{check: resource_policy}, {check: ip_allowlist}]"
)
SCOPES = "scopes: {pipelines:run: {on: [pipeline], implies: [pipelines:read]}, pipelines:read: {on: [pipeline]}}"
ROLES = "roles: {viewer: {scopes: [pipelines:read]}, operator: {inherits: [viewer], scopes: [pipelines:run]}}"


def files(rules: str = "[]", *, default: str = "allow", attributes: str = "env: string", **more: str) -> dict[str, str]:
    """Rule files with these rules on pipelines; `more` are whole files by stem."""
    pipeline = f"resource: pipeline\ndefault: {default}\nattributes: {{{attributes}}}\nrules: {rules}\n"
    found = {"chain.yaml": CHAIN, "scopes.yaml": SCOPES, "roles.yaml": ROLES, "resources/pipeline.yaml": pipeline}
    return found | {f"{stem}.yaml": text for stem, text in more.items()}


def statement(text: str, quantity: str = "never", resource: str | None = None) -> str:
    """invariants.yaml with one statement, called `it`."""
    about = f"\n    resource: {resource}" if resource else ""
    return f"invariants:\n  - name: it{about}\n    {quantity}: >-\n      {text}\n"


def proved(given: dict[str, str], seconds: float = 20.0) -> Finding:
    """What became of the one statement of invariants.yaml."""
    policy = load_policy(given)
    loaded = load_invariants(given, policy)
    assert all(one.severity == "warning" for one in loaded.diagnostics)
    return prove(policy, loaded.invariants, Budget(seconds))[0]
