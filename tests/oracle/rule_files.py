"""Rule files, read by PyYAML and nothing else. Only valid files are given to the oracle; it does not check them."""

from __future__ import annotations

import re
from typing import Any

import yaml

Json = dict[str, Any]


class Loader(yaml.CSafeLoader):
    """PyYAML with YAML 1.2's idea of plain words: `on` is a text (YAML 1.1 has it for true), and so is a date."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML keeps it on the class


for tag, pattern, first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?", "-+0123456789"),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"(?:{pattern})$"), list(first))


class RuleFiles:
    """The parsed files: plain dicts and lists, just as the author wrote them."""

    def __init__(self, files: dict[str, str]) -> None:
        self.chain: list[Json] = load(files, "chain.yaml")["chain"]
        self.scopes: dict[str, Json] = load(files, "scopes.yaml")["scopes"]
        self.roles: dict[str, Json] = load(files, "roles.yaml").get("roles", {})
        self.networks: dict[str, list[str]] = load(files, "networks.yaml").get("networks", {})
        self.context: dict[str, Any] = load(files, "context.yaml").get("context", {})
        self.resources: dict[str, Json] = {}
        for name in files:
            if name.startswith("resources/") and name.endswith(".yaml"):
                document = load(files, name)
                self.resources[document["resource"]] = document

    def scope_closure(self, scopes: set[str]) -> set[str]:
        """`implies`, applied until nothing is added. A scope that is not declared is just itself."""
        return fixpoint(scopes, lambda scope: self.scopes.get(scope, {}).get("implies", []))

    def role_lineage(self, roles: set[str]) -> set[str]:
        """`inherits`, applied until nothing is added. A role that is not declared is not in force."""
        declared = {role for role in roles if role in self.roles}
        return fixpoint(declared, lambda role: self.roles[role].get("inherits", []))

    def role_scopes(self, roles: set[str]) -> set[str]:
        """closure by `implies` and `inherits`."""
        granted: set[str] = set()
        for role in self.role_lineage(roles):
            granted.update(self.roles[role].get("scopes", []))
        return self.scope_closure(granted)


def load(files: dict[str, str], name: str) -> Json:
    return yaml.load(files[name], Loader=Loader) if name in files else {}


def fixpoint(start: set[str], more: Any) -> set[str]:
    found = set(start)
    while True:
        larger = found.union(*(more(item) for item in found))
        if larger == found:
            return found
        found = larger
