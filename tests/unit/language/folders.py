"""Rule files for tests: read from folders, or the shipped ones with a piece replaced."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "policies"
GOLDEN = Path(__file__).parent / "golden"
GOLDEN_SUITES = Path(__file__).parent / "golden_suites"


def read_folder(folder: Path) -> dict[str, str]:
    """Relative path → text, of every file that ends in .yaml or .yml."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().decode()
        for path in sorted(folder.rglob("*.y*ml"))
        if path.suffix in (".yaml", ".yml")
    }


def shipped() -> dict[str, str]:
    """The policies that come with the service."""
    return read_folder(SHIPPED)


def small(**changes: str | None) -> dict[str, str]:
    """A least policy set, with files set (`chain=…` is chain.yaml, `thing=…` is resources/thing.yaml) or left out."""
    files: dict[str, str | None] = {
        "chain.yaml": CHAIN,
        "scopes.yaml": "scopes:\n  things:use:\n    on: [thing]\n  things:see:\n    on: [thing]\n",
        "resources/thing.yaml": "resource: thing\ndefault: allow\n",
    }
    top = ("chain", "scopes", "roles", "networks", "context")
    for name, text in changes.items():
        files[f"{name}.yaml" if name in top else f"resources/{name}.yaml"] = text
    return {file: text for file, text in files.items() if text is not None}


def thing(rules: str, attributes: str = "{}") -> str:
    """resources/thing.yaml with these rules, a YAML list without indentation."""
    return f"resource: thing\nattributes: {attributes}\nrules:\n{rules}\n"


CHAIN = "".join(
    ["chain:\n"]
    + [
        f"  - check: {name}\n"
        for name in ("credential", "revocation", "workspace", "scope", "rbac", "resource_policy", "ip_allowlist")
    ]
)
