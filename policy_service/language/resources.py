"""resources/<type>.yaml: attributes and rules of one resource type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from policy_service.language.attributes import Declared, read_attributes
from policy_service.language.catalogue import check_declared, read_names
from policy_service.language.conditions import ConditionReader, Environment, warn_omittable
from policy_service.language.ir import Condition
from policy_service.language.places import Place
from policy_service.language.policy import Effect, ResourcePattern, ResourcePolicy, Rule, Scope
from policy_service.language.report import quoted
from policy_service.model import names
from policy_service.model.reasons import REASONS

FIELDS: Final = ("resource", "unregistered", "attributes", "default", "rules")
RULE_FIELDS: Final = ("name", "effect", "scopes", "resources", "when", "reason", "message")
EFFECTS: Final = ("allow", "deny")
_ON_ALLOW: Final = {"reason": "reason-on-allow", "message": "message-on-allow"}
MAX_MESSAGE: Final = 500


class ResourceDraft:
    """A resource file whose declarations are read and whose rules are not yet."""

    def __init__(self, root: Place, stem: str) -> None:
        self.fields = root.fields("a resource file", FIELDS, ("resource",)) or {}
        self.type = self._type(stem)
        self.default = _effect(self.fields.get("default"), "a default")
        self.unregistered = _effect(self.fields.get("unregistered"), "a value of `unregistered`")
        place = self.fields.get("attributes")
        self.attributes = read_attributes(place, from_allowed=True) if place else Declared()

    def _type(self, stem: str) -> str:
        place = self.fields.get("resource")
        name = place.name(names.NAME, "a resource type such as pipeline") if place else None
        if place and name is not None and name != stem:
            message = f"this file is about {quoted(name)} but is called after {quoted(stem)}; rename one"
            place.error("file-name-mismatch", message)
        return stem


def read_rules(draft: ResourceDraft, environment: Environment, scopes: dict[str, Scope] | None) -> ResourcePolicy:
    """The whole policy of a type.

    Args:
        scopes: the catalogue; None when it could not be read: then scope names are not judged.
    """
    place = draft.fields.get("rules")
    items = (place.items("a list of rules") or []) if place else []
    reader = _RuleReader(draft, environment.reader(draft.attributes), scopes)
    rules = [rule for item in items if (rule := reader.read(item)) is not None]
    return ResourcePolicy(
        draft.type,
        draft.attributes.attributes,
        draft.default,
        draft.unregistered,
        tuple(sorted(rules, key=lambda rule: rule.name)),
    )


class _RuleReader:
    """Reads the rules of one file; remembers their names."""

    def __init__(self, draft: ResourceDraft, conditions: ConditionReader, scopes: Mapping[str, Scope] | None) -> None:
        self._type = draft.type
        self._conditions = conditions
        self._scopes = scopes
        self._seen: dict[str, int] = {}
        self._attributes = draft.attributes.attributes
        self._owner_is_claimed = draft.unregistered == "allow"

    def read(self, place: Place) -> Rule | None:
        fields = place.fields("a rule", RULE_FIELDS, ("name", "effect"))
        if fields is None:
            return None
        name = self._name(fields.get("name"))
        effect = _effect(fields.get("effect"), "an effect")
        rule = Rule(
            name or "",
            effect,
            self._rule_scopes(fields.get("scopes")),
            _patterns(fields.get("resources")),
            self._condition(fields.get("when"), effect),
            _own_reason(fields, effect),
            _own_message(fields, effect),
            (fields.get("name") or place).span(),
        )
        return rule if name else None

    def _name(self, place: Place | None) -> str | None:
        name = place.name(names.NAME, "a rule name such as office-hours") if place else None
        if place is None or name is None:
            return None
        if name in self._seen:
            message = f"a rule called {quoted(name)} stands in line {self._seen[name]} already; choose another name"
            place.error("duplicate-rule-name", message)
        return name if self._seen.setdefault(name, place.span().line) else None

    def _rule_scopes(self, place: Place | None) -> frozenset[str] | None:
        if place is None:
            return None
        found = read_names(place, names.SCOPE, "a scope name")
        _refuse_empty(place, "`scopes`", "scopes")
        if self._scopes is not None:
            check_declared(found, self._scopes, "undeclared-scope", "scope", "scopes.yaml")
            for name, item in found.items():
                if name in self._scopes and self._type not in self._scopes[name].on:
                    self._not_on_type(name, item)
        return frozenset(found)

    def _not_on_type(self, name: str, item: Place) -> None:
        message = f"the scope {quoted(name)} is not on {quoted(self._type)}; add the type to its `on:` in scopes.yaml"
        item.error("scope-not-on-type", message)

    def _condition(self, place: Place | None, effect: Effect) -> Condition | None:
        condition = self._conditions.read(place) if place else None
        if place and condition and effect == "deny":
            warn_omittable(place, condition, self._attributes, owner_is_claimed=self._owner_is_claimed)
        return condition


def _effect(place: Place | None, what: str) -> Effect:
    return cast(Effect, (place.choice(EFFECTS, what) if place else None) or "deny")


def _refuse_empty(place: Place, field: str, noun: str) -> None:
    if place.is_empty_list():
        place.error("empty-list", f"an empty list of {noun} matches nothing; leave {field} out to mean all")


def _patterns(place: Place | None) -> tuple[ResourcePattern, ...] | None:
    if place is None:
        return None
    _refuse_empty(place, "`resources`", "ids")
    found: set[ResourcePattern] = set()
    for item in place.items("a list of resource ids") or ():
        pattern = _pattern(item)
        if pattern in found:
            item.warn("duplicate-item", f"{quoted(item.text('') or '')} stands in this list already; keep one")
        elif pattern is not None:
            found.add(pattern)
    return tuple(sorted(found))


def _pattern(place: Place) -> ResourcePattern | None:
    text = place.text("a resource id")
    if text is None:
        return None
    is_prefix = text.endswith("*")
    body = text[:-1] if is_prefix else text
    if names.RESOURCE_ID.fullmatch(body) or (is_prefix and not body):
        return ResourcePattern(body, is_prefix)
    place.error("bad-pattern", f"{quoted(text)} is not a resource id; one `*` may stand at its end, and nowhere else")
    return None


def read_reason(place: Place) -> str | None:
    """An author's own reason code."""
    reason = place.name(names.REASON, "a reason such as production_locked")
    if reason in REASONS:
        place.error("reserved-reason", f"{quoted(reason)} is a built-in reason; choose a code of your own")
        return None
    return reason


def read_message(place: Place) -> str | None:
    """A message for people, on one line."""
    text = " ".join((place.text("a message") or "").split())
    if len(text) > MAX_MESSAGE:
        place.error("bad-value", f"the message is longer than {MAX_MESSAGE} characters; shorten it")
    return text or None


def _own_reason(fields: dict[str, Place], effect: Effect) -> str | None:
    return _of_deny_rule(fields, "reason", effect, read_reason)


def _own_message(fields: dict[str, Place], effect: Effect) -> str | None:
    return _of_deny_rule(fields, "message", effect, read_message)


def _of_deny_rule(fields: dict[str, Place], field: str, effect: Effect, read: Any) -> str | None:
    place = fields.get(field)
    if place is None:
        return None
    if "effect" in fields and effect == "allow":
        message = f"an allow rule gives no {field}, for it never denies; remove `{field}` or make it a deny rule"
        place.error(_ON_ALLOW[field], message)
        return None
    return cast("str | None", read(place))
