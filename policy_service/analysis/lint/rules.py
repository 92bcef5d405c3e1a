"""Findings in rules and condition checks, apart from their conditions."""

from __future__ import annotations

from policy_service.analysis.lint.documents import Documents, child, items, name_of
from policy_service.analysis.lint.findings import Findings
from policy_service.analysis.lint.removals import removal
from policy_service.language.places import Place
from policy_service.language.policy import ConditionCheck, Policy, ResourcePattern, ResourcePolicy, Rule
from policy_service.language.report import quoted
from policy_service.model.canonical import canonical_text


def lint_checks(documents: Documents, policy: Policy, found: Findings) -> None:
    """Condition checks that leave people without a word."""
    places = documents.by_span("chain.yaml", "chain")
    for check in policy.chain:
        if isinstance(check, ConditionCheck) and not check.message:
            place = places[check.span.line, check.span.column]
            message = f"callers who meet the condition {quoted(check.name)} get no `message`; say what to do"
            found.add("missing-message", message, child(place, "name") or place)


def lint_rules(documents: Documents, policy: Policy, found: Findings) -> None:
    """Rules that change nothing, say what another says, or leave people without a word."""
    for type_, resource in sorted(policy.resources.items()):
        places = documents.by_span(f"resources/{type_}.yaml", "rules")
        seen: dict[str, Rule] = {}
        for rule in sorted(resource.rules, key=lambda rule: rule.span):
            place = places[rule.span.line, rule.span.column]
            at = child(place, "name") or place
            _lint_rule(rule, resource, at, found)
            _lint_patterns(rule, child(place, "resources"), found)
            twin = seen.setdefault(_meaning(rule), rule)
            if twin is not rule:
                found.add("twin-rule", f"the rule {quoted(twin.name)} says the same; remove one of the two", at)


def _lint_rule(rule: Rule, resource: ResourcePolicy, at: Place, found: Findings) -> None:
    if rule.effect == "allow" and resource.default == "allow":
        message = f"the default of {quoted(resource.type)} is allow, so allow rules change nothing; remove it"
        found.add("inert-allow", message, at)
    if rule.effect == "deny" and rule.reason and not rule.message:
        found.add("missing-message", f"callers who get {quoted(rule.reason)} get no `message`; say what to do", at)


def _meaning(rule: Rule) -> str:
    """Two rules are twins where they apply and are satisfied alike, and have one effect, whatever they say."""
    condition = None if rule.condition is None else " ".join(rule.condition.text.split())
    patterns = None if rule.patterns is None else [[one.text, one.is_prefix] for one in reduced(rule.patterns)]
    scopes = None if rule.scopes is None else sorted(rule.scopes)
    return canonical_text([rule.effect, scopes, patterns, condition])


def reduced(patterns: tuple[ResourcePattern, ...]) -> list[ResourcePattern]:
    """Without those that another one covers."""
    return [one for one in patterns if not any(_covers(other, one) for other in patterns)]


def _covers(wider: ResourcePattern, narrower: ResourcePattern) -> bool:
    return wider != narrower and wider.is_prefix and narrower.text.startswith(wider.text)


def _lint_patterns(rule: Rule, place: Place | None, found: Findings) -> None:
    for item in items(place):
        text = name_of(item)
        pattern = ResourcePattern(text.removesuffix("*"), text.endswith("*"))
        wider = next((one for one in rule.patterns or () if _covers(one, pattern)), None)
        if place is not None and wider is not None:
            message = f"{quoted(text)} is covered by {quoted(wider.text + '*')}; leave it out"
            found.add("contained-pattern", message, item, removal(place, item))
