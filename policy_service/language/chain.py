"""chain.yaml: the ordered list of checks."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, TypeVar

from policy_service.language.attributes import Declared
from policy_service.language.conditions import ConditionReader, Environment, warn_omittable
from policy_service.language.ir import Condition
from policy_service.language.places import Place
from policy_service.language.policy import BuiltinCheck, Check, ConditionCheck
from policy_service.language.report import quoted
from policy_service.language.resources import read_message, read_reason
from policy_service.model import names
from policy_service.model.reasons import CHECKS, FIXED_CHECKS
from policy_service.model.spans import Span

CONDITION: Final = "condition"
CONDITION_FIELDS: Final = ("check", "name", "when", "require", "reason", "message", "resource")
_OF_CONDITIONS: Final = CONDITION_FIELDS[1:]
_UNKNOWN: Final = Declared(broken=None)

T = TypeVar("T")


class ChainReader:
    """Reads the chain.

    Args:
        attributes: of every resource type that has a file; a type without one has none.
        types: every known type, those without a file included; None when that cannot be told.
    """

    def __init__(
        self, environment: Environment, attributes: dict[str, Declared], types: Collection[str] | None
    ) -> None:
        self._environment = environment
        self._attributes = attributes
        self._types = types
        self._readers: dict[str | None, ConditionReader] = {}
        self._names: dict[str, int] = {}
        self._builtin: dict[str, int] = {}

    def read(self, root: Place) -> tuple[Check, ...]:
        fields = root.fields("this file", ("chain",), ("chain",)) or {}
        if "chain" not in fields:
            return ()
        items = fields["chain"].items("a list of checks")
        if items is None:
            return ()
        checks: list[Check] = []
        for index, item in enumerate(items):
            check = self._check(item, index)
            if check is not None:
                checks.append(check)
        self._require_all(fields["chain"])
        return tuple(checks)

    def _check(self, item: Place, index: int) -> Check | None:
        fields = item.fields("a check", CONDITION_FIELDS, ("check",)) or {}
        place = fields.get("check")
        kind = place.text("a check such as credential") if place else None
        if place is None or kind is None:
            return None
        if kind == CONDITION:
            self._refuse_among_first(place, index)
            return self._condition(item, fields)
        if kind not in CHECKS:
            known = (*CHECKS, CONDITION)
            place.error("unknown-check", f"{quoted(kind)} is not a check{place.hint(kind, known)}")
            return None
        self._refuse_fields(kind, fields)
        return self._builtin_check(place, kind, index)

    def _builtin_check(self, place: Place, kind: str, index: int) -> Check | None:
        if kind in self._builtin:
            message = f"the check `{kind}` stands in line {self._builtin[kind]} already; it has its place once"
            place.error("duplicate-check", message)
            return None
        self._builtin[kind] = place.span().line
        if kind in FIXED_CHECKS and FIXED_CHECKS.index(kind) != index:
            order = ", ".join(FIXED_CHECKS)
            message = f"the check `{kind}` must be number {FIXED_CHECKS.index(kind) + 1}; the chain begins {order}"
            place.error("misplaced-check", message)
        return BuiltinCheck(kind)

    def _refuse_among_first(self, place: Place, index: int) -> None:
        if index < len(FIXED_CHECKS):
            order = ", ".join(FIXED_CHECKS)
            place.error("misplaced-check", f"a condition cannot stand here; the chain begins {order}")

    def _refuse_fields(self, kind: str, fields: dict[str, Place]) -> None:
        for name in _OF_CONDITIONS:
            if name in fields:
                code = "when-on-builtin-check" if name == "when" else "unknown-field"
                message = f"the built-in check `{kind}` takes no `{name}`; write a `condition` check for that"
                fields[name].error(code, message)

    def _require_all(self, chain: Place) -> None:
        for name in CHECKS:
            if name not in self._builtin:
                chain.error("missing-check", f"the mandatory check `{name}` is missing; add `- check: {name}`")

    def _condition(self, item: Place, fields: dict[str, Place]) -> Check | None:
        for field in ("name", "require", "reason"):
            if field not in fields:
                item.error("missing-field", f"a condition check needs the field `{field}`")
        name = self._name(fields.get("name"))
        resource = _optional(fields.get("resource"), self._type)
        reader = self._reader(fields.get("resource"), resource)
        when = _optional(fields.get("when"), lambda place: self._when(place, reader, resource))
        require = _optional(fields.get("require"), reader.read)
        reason = _optional(fields.get("reason"), read_reason)
        message = _optional(fields.get("message"), read_message)
        span: Span = (fields.get("name") or item).span()
        if name is None or require is None or reason is None:
            return None
        return ConditionCheck(name, require, reason, message, when, resource, span)

    def _name(self, place: Place | None) -> str | None:
        name = place.name(names.NAME, "a condition name such as change_freeze") if place else None
        if place is None or name is None:
            return None
        if name in self._names:
            message = (
                f"a condition called {quoted(name)} stands in line {self._names[name]} already; choose another name"
            )
            place.error("duplicate-condition-name", message)
        self._names.setdefault(name, place.span().line)
        return name

    def _type(self, place: Place) -> str | None:
        """The resource type, if it is a known one."""
        name = place.name(names.NAME, "a resource type such as pipeline")
        if name is None or self._types is None or name in self._types:
            return name
        message = f"no scope and no file is about the resource type {quoted(name)}{place.hint(name, self._types)}"
        place.error("unknown-resource-type", message)
        return None

    def _reader(self, place: Place | None, resource: str | None) -> ConditionReader:
        """Of conditions on every type (no place), on a known type, or on one that is reported already."""
        key = "" if place and resource is None else resource
        if key not in self._readers:
            attributes = None if key is None else self._attributes.get(key, Declared() if key else _UNKNOWN)
            self._readers[key] = self._environment.reader(attributes)
        return self._readers[key]

    def _when(self, place: Place, reader: ConditionReader, resource: str | None) -> Condition | None:
        condition = reader.read(place)
        if condition is not None:
            attributes = self._attributes.get(resource or "", Declared()).attributes
            warn_omittable(place, condition, attributes)
        return condition


def _optional(place: Place | None, read: Callable[[Place], T | None]) -> T | None:
    return None if place is None else read(place)
