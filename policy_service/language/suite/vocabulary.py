"""What test files may name: the parts of the policy they are about."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from policy_service.language.places import Place
from policy_service.language.policy import ConditionCheck, Policy
from policy_service.language.report import quoted
from policy_service.model.reasons import ALLOWED, REASONS

FACTS: Final = "the facts"
_CODES: Final = {
    "allowlist": "undeclared-allowlist",
    "key": "undeclared-key",
    "principal": "undeclared-principal",
    "reason": "undeclared-reason",
    "resource": "undeclared-resource",
    "role": "undeclared-role",
    "rule": "undeclared-rule",
    "scope": "undeclared-scope",
    "team": "undeclared-team",
    "user": "undeclared-user",
}


class Vocabulary(msgspec.Struct, frozen=True):
    """The names of one policy, for checking those in its test files."""

    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    types: tuple[str, ...]
    reasons: tuple[str, ...]
    rules: tuple[str, ...]
    attributes: dict[str, tuple[str, ...]]
    context: tuple[str, ...]

    @classmethod
    def of(cls, policy: Policy) -> Vocabulary:
        """All that the policy declares."""
        types = {type_ for scope in policy.scopes.values() for type_ in scope.on} | policy.resources.keys()
        return cls(
            scopes=tuple(policy.scopes),
            roles=tuple(policy.roles),
            types=tuple(sorted(types)),
            reasons=tuple(sorted({*REASONS, *_own_reasons(policy)} - {ALLOWED})),
            rules=tuple(sorted(_rule_names(policy))),
            attributes={name: tuple(one.name for one in found.attributes) for name, found in policy.resources.items()},
            context=tuple(attribute.name for attribute in policy.context),
        )


def _own_reasons(policy: Policy) -> Iterator[str]:
    yield from (check.reason for check in policy.chain if isinstance(check, ConditionCheck))
    for resource in policy.resources.values():
        yield from (rule.reason for rule in resource.rules if rule.reason is not None)


def _rule_names(policy: Policy) -> Iterator[str]:
    yield from (check.name for check in policy.chain if isinstance(check, ConditionCheck))
    for resource in policy.resources.values():
        yield from (rule.name for rule in resource.rules if rule.effect == "deny")


def named(place: Place | None, known: Collection[str], noun: str, where: str) -> str | None:
    """A name that must be among the known ones; if it is not, that is reported at its place with the near match.

    Args:
        where: the file that declares such names, or `FACTS`.
    """
    name = None if place is None else place.text(f"the name of a {noun}")
    if place is None or name is None or name in known:
        return name
    place.error(_CODES[noun], f"the {noun} {quoted(name)} is not declared in {where}{place.hint(name, known)}")
    return None
