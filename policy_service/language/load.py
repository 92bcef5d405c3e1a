"""Rule files → Policy. Every mistake of every file at once, or a policy (with warnings, perhaps)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Final, TypeVar

import msgspec

from policy_service.language.attributes import Declared, read_context
from policy_service.language.catalogue import read_roles, read_scopes
from policy_service.language.chain import ChainReader
from policy_service.language.conditions import Environment
from policy_service.language.digest import digest
from policy_service.language.memory import Memory
from policy_service.language.networks import read_networks
from policy_service.language.places import Place, Source
from policy_service.language.policy import Check, Policy, ResourcePolicy, Role, Scope
from policy_service.language.report import Report, near_match, quoted
from policy_service.language.resources import ResourceDraft, read_rules
from policy_service.language.yaml_reader import read_yaml
from policy_service.model.address import Network
from policy_service.model.errors import PolicyErrors
from policy_service.model.spans import Diagnostic, Span

T = TypeVar("T")
Scopes = dict[str, Scope] | None
"""The catalogue; None while it cannot be read."""

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


def load(files: Mapping[str, str], memory: Memory | None = None, spread: Spread | None = None) -> Loaded:
    """Read a set of rule files. Never raises on what the files hold.

    Args:
        files: relative POSIX path → text, such as `{"chain.yaml": …, "resources/pipeline.yaml": …}`. `chain.yaml` and
            `scopes.yaml` must be there; without roles.yaml there are no roles, without networks.yaml no networks,
            without context.yaml nothing in `request.context`. Tests and invariants are others' to read.
        memory: of the last load of much the same files; without it everything is read.
        spread: may read resource files beside each other; None: one by one. What came of a file with mistakes is not
            used: the words of a diagnostic may depend on how many there were before.

    INVARIANT: a memory changes nothing but the time (test_language: remembering).

    Cost: about 0.3 ms for each rule with a condition; those in files that are remembered cost nothing.
    """
    report = Report()
    if sum(map(len, files.values())) > MAX_TOTAL:
        report.add("too-large", f"the files hold more than {MAX_TOTAL} characters; split the policy", Span("."))
        return Loaded(None, report.sorted())
    memory = memory or Memory()
    memory.turn()
    policy = _Loader(files, report, memory, spread).load()
    if report.has_errors():
        return Loaded(None, report.sorted())
    return Loaded(msgspec.structs.replace(policy, digest=digest(policy, memory)), report.sorted())


def load_policy(files: Mapping[str, str]) -> Policy:
    """As `load`, for callers who want a policy or an exception.

    Raises:
        PolicyErrors: with all diagnostics, warnings among them.
    """
    loaded = load(files)
    if loaded.policy is None:
        raise PolicyErrors(loaded.diagnostics)
    return loaded.policy


class ResourceFile(msgspec.Struct, frozen=True):
    """One resource file, read whole. Without a policy it could not be read."""

    attributes: Declared | None
    policy: ResourcePolicy | None
    report: Report


Spread = Callable[[Callable[[str], ResourceFile], list[str]], list[ResourceFile]]
"""How resource files are read: a function, and the names of the files that it is to be called with, each by itself."""


class _Loader:
    """The order of reading: what is named comes before what names it. Unreadable files silence what depends on them."""

    def __init__(self, files: Mapping[str, str], report: Report, memory: Memory, spread: Spread | None) -> None:
        self._files = files
        self._report = report
        self._memory = memory
        self._spread = spread

    def load(self) -> Policy:
        _check_file_names(self._files, self._report)
        context = self._read("context.yaml", read_context, Declared()) or Declared(broken=None)
        networks = self._read("networks.yaml", read_networks, dict[str, tuple[Network, ...]]())
        scopes = self._read("scopes.yaml", read_scopes, None)
        roles = self._read("roles.yaml", lambda root: read_roles(root, scopes), dict[str, Role]())
        see = partial(Environment, context, networks)
        found = self._resource_files(see, scopes)
        declared = {type_: one.attributes for type_, one in found.items() if one.attributes is not None}
        resources = {type_: one.policy for type_, one in found.items() if one.policy is not None}
        chain = self._chain(see(self._memory), declared, scopes)
        return Policy(chain, scopes or {}, roles or {}, networks or {}, context.attributes, resources)

    def _chain(
        self, environment: Environment, declared: dict[str, Declared], scopes: dict[str, Scope] | None
    ) -> tuple[Check, ...]:
        types = {stem for stem in map(_resource_stem, self._files) if stem}
        attributes = {type_: declared.get(type_, Declared(broken=None)) for type_ in types}
        if scopes is not None:
            types.update(name for scope in scopes.values() for name in scope.on)
        reader = ChainReader(environment, attributes, None if scopes is None else types)
        return self._read("chain.yaml", reader.read, ()) or ()

    def _resource_files(self, see: Callable[[Memory], Environment], scopes: Scopes) -> dict[str, ResourceFile]:
        """By type. Each depends on its own text and on these three files, so that it is remembered by them.

        Args:
            see: what its conditions can see, with a memory of the file's own conditions.
        """
        around = tuple(self._files.get(file) for file in ("scopes.yaml", "networks.yaml", "context.yaml"))
        stems = {file: stem for file in sorted(self._files) if (stem := _resource_stem(file)) is not None}
        keys: dict[str, Hashable] = {file: (file, self._files[file], *around) for file in stems}
        memories = {file: self._memory.recall(("memory", file), Memory) for file in stems}

        def read(file: str, report: Report) -> ResourceFile:
            return self._resource_file(report, file, stems[file], see(memories[file]), scopes)

        # Each with a report of its own: what is read ahead takes no suggestions from the stock of all.
        self._read_ahead(lambda file: read(file, Report()), keys)
        found = {}
        for file, stem in stems.items():
            found[stem] = self._memory.recall(keys[file], partial(read, file, Report(self._report)))
            self._report.take(found[stem].report)
        return found

    def _read_ahead(self, read: Callable[[str], ResourceFile], keys: dict[str, Hashable]) -> None:
        """Remember those that can be read beside each other, in whatever way. Those with mistakes are read again."""
        if self._spread is None:
            return
        unknown = [file for file, key in keys.items() if not self._memory.knows(key)]
        for file, one in zip(unknown, self._spread(read, unknown), strict=True):
            if not one.report.has_errors():
                self._memory.recall(keys[file], lambda: one)  # noqa: B023 - called at once

    def _resource_file(
        self, report: Report, file: str, stem: str, environment: Environment, scopes: Scopes
    ) -> ResourceFile:
        root = self._root(file, report)
        if root is None:
            return ResourceFile(None, None, report)
        environment.turn()
        draft = ResourceDraft(root, stem)
        return ResourceFile(draft.attributes, read_rules(draft, environment, scopes), report)

    def _read(self, file: str, read: Callable[[Place], T | None], absent: T) -> T | None:
        """None when the file is there but unreadable."""
        if file not in self._files:
            return absent
        root = self._root(file, self._report)
        return None if root is None else read(root)

    def _root(self, file: str, report: Report) -> Place | None:
        text = self._files[file].removeprefix("\ufeff")
        node = read_yaml(file, text, report)
        return None if node is None else Place(Source(file, text, report), node, "$")


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
