"""What two policies say differently, part by part and by name. What does not count in the digest does not count here.

INVARIANT: two policies differ in nothing exactly when they have one digest (test_difference: differences and digests).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from policy_service.language.digest import canonical
from policy_service.language.ir import Condition
from policy_service.language.policy import ConditionCheck, Policy, ResourcePolicy
from policy_service.model.canonical import canonical_text

Kind = Literal["added", "removed", "changed"]
Part = Literal["chain", "check", "scope", "role", "context", "resource", "attribute", "rule"]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One part that is there in one policy alone, or is not the same in both.

    Args:
        part: what it is a part of. `chain`: the order of the checks; `check`: a condition check; `resource`: what a
            resource policy says besides its attributes and rules.
        name: within its kind; attributes and rules are named `<type>/<name>`.
        fields: of a part in both, the members that differ: name → what they said before and say after, JSON-ready.
            Conditions are told by their text; where that is the same, what its networks hold differs.
    """

    kind: Kind
    part: Part
    name: str
    fields: dict[str, tuple[Any, Any]] = {}


def differences(before: Policy, after: Policy) -> tuple[Difference, ...]:
    """What changes when `after` takes the place of `before`, in the order chain, scopes, roles, context, resources."""
    left, right = _parts(before), _parts(after)
    texts = (_texts(before), _texts(after))
    return tuple(_compare(left, right, texts))


_Name = tuple[Part, str]
_ORDER: Final = ("chain", "check", "scope", "role", "context", "resource", "attribute", "rule")


def _compare(
    left: Mapping[_Name, Any], right: Mapping[_Name, Any], texts: tuple[dict[str, str], dict[str, str]]
) -> Iterator[Difference]:
    for part, name in sorted({*left, *right}, key=lambda key: (_ORDER.index(key[0]), key[1])):
        before, after = left.get((part, name)), right.get((part, name))
        if before is None or after is None:
            yield Difference(kind="added" if before is None else "removed", part=part, name=name)
        elif canonical_text(before) != canonical_text(after):
            yield Difference(kind="changed", part=part, name=name, fields=_fields(before, after, (part, name), texts))


def _fields(
    before: Any, after: Any, name: _Name, texts: tuple[dict[str, str], dict[str, str]]
) -> dict[str, tuple[Any, Any]]:
    """The members that differ. The form of a condition is for hashing: people get its text."""
    found = {}
    for field in before:
        if canonical_text(before[field]) != canonical_text(after[field]):
            place = f"{name[0]} {name[1]} {field}"
            is_text = place in texts[0] or place in texts[1]
            found[field] = (
                (texts[0].get(place), texts[1].get(place)) if is_text else (_plain(before[field]), _plain(after[field]))
            )
    return found


def _plain(value: Any) -> Any:
    """Id patterns as authors write them; anything else as it is."""
    if isinstance(value, list) and value and all(_is_pattern(item) for item in value):
        return [text + ("*" if is_prefix else "") for text, is_prefix in value]
    return value


def _is_pattern(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], bool)


def _parts(policy: Policy) -> dict[_Name, Any]:
    """The canonical form in named parts. Nothing of it is left out."""
    form = canonical(policy)
    checks = [check.get("name", check["check"]) for check in form["chain"]]
    parts: dict[_Name, Any] = {("chain", "order"): {"checks": checks}}
    parts |= {("check", check["name"]): check for check in form["chain"] if "name" in check}
    parts |= {("scope", name): scope for name, scope in form["scopes"].items()}
    parts |= {("role", name): role for name, role in form["roles"].items()}
    parts |= {("context", name): attribute for name, attribute in form["context"].items()}
    for kind, resource in form["resources"].items():
        parts["resource", kind] = {name: resource[name] for name in ("default", "unregistered")}
        parts |= {("attribute", f"{kind}/{name}"): attribute for name, attribute in resource["attributes"].items()}
        parts |= {("rule", f"{kind}/{name}"): rule for name, rule in resource["rules"].items()}
    return parts


def _texts(policy: Policy) -> dict[str, str]:
    """The text of every condition, by part, name and member."""
    texts: dict[str, str] = {}
    for check in policy.chain:
        if isinstance(check, ConditionCheck):
            _note(texts, f"check {check.name} require", check.require)
            _note(texts, f"check {check.name} when", check.when)
    for resource in policy.resources.values():
        _note_rules(texts, resource)
    return texts


def _note_rules(texts: dict[str, str], resource: ResourcePolicy) -> None:
    for rule in resource.rules:
        _note(texts, f"rule {resource.type}/{rule.name} when", rule.condition)


def _note(texts: dict[str, str], place: str, condition: Condition | None) -> None:
    if condition is not None:
        texts[place] = " ".join(condition.text.split())
