"""invariants.yaml: what must never, or always, be true of a request, the facts it meets and its decision.

Statements are CEL as in rules, and see `decision.…` and `facts.…` besides. They say what a policy promises; they decide
nothing, so they do not count in its digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from policy_service.language.cel.compiler import ConditionCompiler
from policy_service.language.conditions import ConditionReader
from policy_service.language.ir import BOOL, STRING, Condition
from policy_service.language.places import Place, Source
from policy_service.language.policy import Policy
from policy_service.language.report import Report, quoted
from policy_service.language.schema_parts import Schema, file_schema, list_of, object_of, string
from policy_service.language.variables import Variable
from policy_service.language.yaml_reader import read_yaml
from policy_service.model import names
from policy_service.model.spans import Diagnostic, Span

FILE: Final = "invariants.yaml"
FIELDS: Final = ("name", "description", "resource", "never", "always")
MAX_INVARIANTS: Final = 1000

Quantity = Literal["never", "always"]

VARIABLES: Final = tuple(
    Variable(*row)
    for row in (
        ("decision.allowed", BOOL, False, "whether the request is allowed"),
        ("decision.reason", STRING, False, "the reason code; `allowed` when allowed"),
        ("decision.check", STRING, True, "the check that denied"),
        ("decision.rule", STRING, True, "the rule or condition that denied, where one did"),
        ("facts.revoked", BOOL, False, "the API key was revoked"),
        ("facts.expired", BOOL, False, "the API key, or the secret that was shown, has expired"),
        ("facts.suspended", BOOL, False, "the key's user is suspended"),
        ("facts.registered", BOOL, False, "the resource is registered in the key's workspace"),
        ("facts.claims_own_workspace", BOOL, False, "the request names the key's workspace"),
        ("facts.claims_other_workspace", BOOL, False, "the request names another workspace than the key's"),
        ("facts.allowlist_enabled", BOOL, False, "the workspace's IP allowlist is on"),
        ("facts.on_allowlist", BOOL, False, "the source address is on that list"),
        ("facts.key_has_cidrs", BOOL, False, "the key has CIDRs of its own"),
        ("facts.in_key_cidrs", BOOL, False, "the source address is in them"),
        ("facts.scope_carried", BOOL, False, "the key's scopes, with all they imply, hold the requested one"),
        ("facts.scope_granted", BOOL, False, "some role in force grants the requested scope; never for a service"),
    )
)
"""What statements see besides what conditions see."""


class Invariant(msgspec.Struct, frozen=True):
    """One statement.

    Args:
        resource: the type that it is about; None: every type.
        is_builtin: one of those that every policy is held to.
    """

    name: str
    description: str
    quantity: Quantity
    statement: Condition
    resource: str | None
    span: Span
    is_builtin: bool = False


class LoadedInvariants(msgspec.Struct, frozen=True):
    """What invariants.yaml came to: with an error among the diagnostics, nothing may be concluded from the rest."""

    invariants: tuple[Invariant, ...]
    diagnostics: tuple[Diagnostic, ...]


def load_invariants(files: Mapping[str, str], policy: Policy) -> LoadedInvariants:
    """Read invariants.yaml among rule files, if it is there. Never raises on what it holds.

    Args:
        policy: what the rule files mean; statements read its attributes, context and networks.
    """
    if FILE not in files:
        return LoadedInvariants((), ())
    report = Report()
    text = files[FILE].removeprefix("\ufeff")
    node = read_yaml(FILE, text, report)
    found = () if node is None else _Reader(policy).read(Place(Source(FILE, text, report), node, "$"))
    return LoadedInvariants(() if report.has_errors() else found, report.sorted())


def compile_statement(text: str, policy: Policy) -> Condition:
    """A statement of our own on every type. It has no mistakes."""
    condition, _ = _compiler(policy, None).compile(text)
    assert condition is not None, text
    return condition


def _compiler(policy: Policy, resource: str | None) -> ConditionCompiler:
    attributes = None
    if resource is not None:
        attributes = policy.resources[resource].attributes if resource in policy.resources else ()
    return ConditionCompiler(attributes=attributes, context=policy.context, networks=policy.networks, also=VARIABLES)


class _Reader:
    """Reads the file under one policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._readers: dict[str | None, ConditionReader] = {}
        self._lines: dict[str, int] = {}

    def read(self, root: Place) -> tuple[Invariant, ...]:
        fields = root.fields("this file", ("invariants",), ("invariants",)) or {}
        items = fields["invariants"].items("a list of invariants") if "invariants" in fields else None
        if items is not None and len(items) > MAX_INVARIANTS:
            root.error("too-many", f"there are more than {MAX_INVARIANTS} invariants; take some out")
            return ()
        found = [self._invariant(item) for item in items or ()]
        return tuple(one for one in found if one is not None)

    def _invariant(self, item: Place) -> Invariant | None:
        fields = item.fields("an invariant", FIELDS, ("name",))
        if fields is None:
            return None
        name = self._name(fields["name"]) if "name" in fields else None
        description = fields["description"].text("a description") if "description" in fields else ""
        resource = self._type(fields["resource"]) if "resource" in fields else None
        given = [quantity for quantity in ("never", "always") if quantity in fields]
        if len(given) != 1:
            item.error("missing-field", "an invariant needs one of the fields `never` and `always`")
            return None
        if "resource" in fields and resource is None:
            return None
        statement = self._reader(resource).read(fields[given[0]])
        if name is None or statement is None:
            return None
        quantity: Quantity = "never" if given[0] == "never" else "always"
        text = " ".join((description or "").split())
        return Invariant(name, text, quantity, statement, resource, fields["name"].span())

    def _name(self, place: Place) -> str | None:
        name = place.name(names.NAME, "the name of an invariant, such as viewers-never-run")
        if name is not None and name in self._lines:
            message = f"an invariant called {quoted(name)} stands in line {self._lines[name]} already"
            place.error("duplicate-name", f"{message}; choose another name")
        if name is not None:
            self._lines.setdefault(name, place.span().line)
        return name

    def _type(self, place: Place) -> str | None:
        name = place.name(names.NAME, "a resource type such as pipeline")
        known = set(self._policy.resources).union(*(scope.on for scope in self._policy.scopes.values()))
        if name is None or name in known:
            return name
        message = f"no scope and no file is about the resource type {quoted(name)}{place.hint(name, known)}"
        place.error("unknown-resource-type", message)
        return None

    def _reader(self, resource: str | None) -> ConditionReader:
        if resource not in self._readers:
            self._readers[resource] = ConditionReader(_compiler(self._policy, resource), ())
        return self._readers[resource]


def invariants_schema() -> Schema:
    """The JSON Schema of invariants.yaml."""
    statement = {"type": "string", "minLength": 1}
    invariant = object_of(
        "One statement, proved or refuted by `policy prove`.",
        ["name"],
        {
            "name": string("Names the invariant; unique in the file.", names.NAME),
            "description": string("What it promises, for people."),
            "resource": string("The resource type it is about; needed to read `resource.attr`.", names.NAME),
            "never": {**statement, "description": "A CEL expression of type bool that must never be true."},
            "always": {**statement, "description": "A CEL expression of type bool that must always be true."},
        },
    )
    invariant["oneOf"] = [{"required": ["never"]}, {"required": ["always"]}]
    about = "What must never, or always, be true of a request, the facts and the decision."
    statements = list_of("The statements; their order means nothing.", invariant)
    return file_schema(FILE, about, ["invariants"], {"invariants": statements})
