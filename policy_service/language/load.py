"""Rule files → Policy. Every mistake of every file at once, or a policy (with warnings, perhaps)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec

from policy_service.language.attributes import Declared, read_context
from policy_service.language.catalogue import read_roles, read_scopes
from policy_service.language.chain import ChainReader
from policy_service.language.conditions import Environment
from policy_service.language.digest import digest
from policy_service.language.networks import read_networks
from policy_service.language.places import Place, Source
from policy_service.language.policy import Check, Policy, Role, Scope
from policy_service.language.report import Report, near_match, quoted
from policy_service.language.resources import ResourceDraft, read_rules
from policy_service.language.yaml_reader import read_yaml
from policy_service.model.address import Network
from policy_service.model.errors import PolicyErrors
from policy_service.model.spans import Diagnostic, Span

T = TypeVar("T")

REQUIRED_FILES: Final = ("chain.yaml", "scopes.yaml")
OPTIONAL_FILES: Final = ("roles.yaml", "networks.yaml", "context.yaml")
FOREIGN_FILES: Final = ("invariants.yaml",)
RESOURCE_FOLDER: Final = "resources/"
TEST_FOLDER: Final = "tests/"
MAX_TOTAL: Final = 16 * 1024 * 1024
"""Code points of all files together."""


class Loaded(msgspec.Struct, frozen=True):
    """What a set of rule files came to.

    Args:
        policy: None if and only if an error is among the diagnostics.
        diagnostics: all of them, in reading order; warnings may stand beside a policy.
    """

    policy: Policy | None
    diagnostics: tuple[Diagnostic, ...]


def load(files: Mapping[str, str]) -> Loaded:
    """Read a set of rule files. Never raises on what the files hold.

    Args:
        files: relative POSIX path → text, such as `{"chain.yaml": …, "resources/pipeline.yaml": …}`. `chain.yaml` and
            `scopes.yaml` must be there; without roles.yaml there are no roles, without networks.yaml no networks,
            without context.yaml nothing in `request.context`. Tests and invariants are others' to read.

    Cost: about 0.3 ms for each rule with a condition.
    """
    report = Report()
    if sum(map(len, files.values())) > MAX_TOTAL:
        report.add("too-large", f"the files hold more than {MAX_TOTAL} characters; split the policy", Span("."))
        return Loaded(None, report.sorted())
    policy = _Loader(files, report).load()
    if report.has_errors():
        return Loaded(None, report.sorted())
    return Loaded(msgspec.structs.replace(policy, digest=digest(policy)), report.sorted())


def load_policy(files: Mapping[str, str]) -> Policy:
    """As `load`, for callers who want a policy or an exception.

    Raises:
        PolicyErrors: with all diagnostics, warnings among them.
    """
    loaded = load(files)
    if loaded.policy is None:
        raise PolicyErrors(loaded.diagnostics)
    return loaded.policy


class _Loader:
    """The order of reading: what is named comes before what names it. Unreadable files silence what depends on them."""

    def __init__(self, files: Mapping[str, str], report: Report) -> None:
        self._files = files
        self._report = report

    def load(self) -> Policy:
        _check_file_names(self._files, self._report)
        context = self._read("context.yaml", read_context, Declared()) or Declared(broken=None)
        networks = self._read("networks.yaml", read_networks, dict[str, tuple[Network, ...]]())
        scopes = self._read("scopes.yaml", read_scopes, None)
        roles = self._read("roles.yaml", lambda root: read_roles(root, scopes), dict[str, Role]())
        environment = Environment(context, networks)
        drafts = self._drafts()
        resources = {type_: read_rules(draft, environment, scopes) for type_, draft in drafts.items()}
        chain = self._chain(environment, drafts, scopes)
        return Policy(chain, scopes or {}, roles or {}, networks or {}, context.attributes, resources)

    def _chain(
        self, environment: Environment, drafts: dict[str, ResourceDraft], scopes: dict[str, Scope] | None
    ) -> tuple[Check, ...]:
        types = {stem for stem in map(_resource_stem, self._files) if stem}
        attributes = {type_: drafts[type_].attributes if type_ in drafts else Declared(broken=None) for type_ in types}
        if scopes is not None:
            types.update(name for scope in scopes.values() for name in scope.on)
        reader = ChainReader(environment, attributes, None if scopes is None else types)
        return self._read("chain.yaml", reader.read, ()) or ()

    def _drafts(self) -> dict[str, ResourceDraft]:
        found = {}
        for file in sorted(self._files):
            stem = _resource_stem(file)
            root = self._root(file) if stem is not None else None
            if root is not None and stem is not None:
                found[stem] = ResourceDraft(root, stem)
        return found

    def _read(self, file: str, read: Callable[[Place], T | None], absent: T) -> T | None:
        """None when the file is there but unreadable."""
        if file not in self._files:
            return absent
        root = self._root(file)
        return None if root is None else read(root)

    def _root(self, file: str) -> Place | None:
        text = self._files[file].removeprefix("\ufeff")
        node = read_yaml(file, text, self._report)
        return None if node is None else Place(Source(file, text, self._report), node, "$")


def _resource_stem(file: str) -> str | None:
    """`pipeline` of `resources/pipeline.yaml`."""
    if not (file.startswith(RESOURCE_FOLDER) and file.endswith(".yaml")):
        return None
    stem = file.removeprefix(RESOURCE_FOLDER).removesuffix(".yaml")
    return None if "/" in stem else stem


def _check_file_names(files: Mapping[str, str], report: Report) -> None:
    for file in REQUIRED_FILES:
        if file not in files:
            report.add("missing-file", f"the file `{file}` is missing; every policy needs one", Span(file))
    for file in sorted(files):
        if file.endswith((".yaml", ".yml")) and not _is_known(file):
            report.add("unknown-file", _unknown_file(file), Span(file))


def _is_known(file: str) -> bool:
    known = file in REQUIRED_FILES or file in OPTIONAL_FILES or file in FOREIGN_FILES
    return known or file.startswith(TEST_FOLDER) or _resource_stem(file) is not None


def _unknown_file(file: str) -> str:
    if file.endswith(".yml"):
        return f"rule files end in .yaml; rename it to {quoted(file.removesuffix('.yml') + '.yaml')}"
    near = near_match(file, (*REQUIRED_FILES, *OPTIONAL_FILES, *FOREIGN_FILES))
    hint = f"did you mean {quoted(near)}?" if near else "resource policies belong into `resources/`"
    return f"no rule file is called {quoted(file)}; {hint}"
