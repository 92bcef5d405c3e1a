"""The generated text of resource policies and condition checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from functools import partial

from policy_service.engine.conditions.emit import ConstantPool, emit_condition, emit_shared, one_line
from policy_service.engine.conditions.shapes import Shape
from policy_service.engine.endings import condition_denial, condition_fault, rule_denial
from policy_service.engine.naming import Names
from policy_service.language.ir import Condition
from policy_service.language.policy import ConditionCheck, Policy, ResourcePolicy, Rule


def emit_resource_policy(policy: Policy, resource_type: str, names: Names, pool: ConstantPool) -> Iterator[str]:
    """Blocks for one type: its attribute reader, its rules by name, and the check that puts them together."""
    stem = names.stem(resource_type)
    yield f"\n# {'-' * 10} resource type {resource_type!r}\n"
    yield _reader(f"attributes_of_{stem}", "AttributeReader", names.attributes(resource_type))
    if resource_type not in policy.resources:
        return
    resource = policy.resources[resource_type]
    yield f"rules_of_{stem} = RuleIndex(default_allow={resource.default == 'allow'})\n"
    yield f"found_of_{stem} = rules_of_{stem}.found\n"
    yield from _Rules(resource, names, pool).blocks()
    yield _check(resource, stem, names.rule_parameters(resource_type), names.shared)


def emit_condition_check(check: ConditionCheck, names: Names, pool: ConstantPool) -> Iterator[str]:
    """Blocks for one condition check: its conditions, and a function that gives its ending, or None to pass."""
    stem = names.condition_stem(check)
    parameters = names.condition_parameters(check)
    called = ", ".join(parameters)
    lines = [f"\ndef condition_{stem}({called}):"]
    yield f"\n# {'-' * 10} condition check {check.name!r}\n"
    if check.when is not None:
        yield _condition(f"when_of_{stem}", check.when, parameters, check.resource_type, names, pool)
        lines += [
            f"    applies = when_of_{stem}({called})",
            "    if applies is None:",
            f"        return {condition_fault(check.name)!r}",
            "    if not applies:",
            "        return None",
        ]
    yield _condition(f"require_of_{stem}", check.require, parameters, check.resource_type, names, pool)
    lines += [
        f"    holds = require_of_{stem}({called})",
        "    if holds is None:",
        f"        return {condition_fault(check.name)!r}",
        f"    return None if holds else {condition_denial(check)!r}",
    ]
    yield "\n".join(lines) + "\n"


def emit_context_reader(names: Names) -> str:
    """The reader of all context values that any condition reads."""
    return _reader("context_reader", "ContextReader", names.context)


def _reader(name: str, kind: str, attributes: tuple[object, ...]) -> str:
    if not attributes:
        return ""
    lines = "".join(f"        {attribute!r},\n" for attribute in attributes)
    return f"{name} = {kind}(\n    (\n{lines}    )\n)\n"


class _Rules:
    """The rules of one type: each with its condition as a function, if it has one, and its place in the index.

    Conditions of one shape share a function, which stands before the first of them.
    """

    def __init__(self, resource: ResourcePolicy, names: Names, pool: ConstantPool) -> None:
        self._rules = sorted(resource.rules, key=lambda rule: rule.name)
        self._stem = names.stem(resource.type)
        parameters, reads = names.rule_parameters(resource.type), names.reads(resource.type).expressions
        self._alone = partial(emit_condition, parameters=parameters, reads=reads, pool=pool)
        self._together = partial(emit_shared, parameters=parameters, reads=reads, pool=pool)
        self._shapes = [None if rule.condition is None else Shape.of(rule.condition.expr) for rule in self._rules]
        self._uses = Counter(shape.key for shape in self._shapes if shape is not None)
        self._shared: dict[Hashable, str] = {}

    def blocks(self) -> Iterator[str]:
        for number, (rule, shape) in enumerate(zip(self._rules, self._shapes, strict=True)):
            text, satisfied = f"\n# {rule.effect} rule {rule.name!r}\n", ""
            if rule.condition is not None and shape is not None:
                if self._uses[shape.key] > 1:
                    yield from self._shared_function(rule.condition, shape)
                    text += f"# {one_line(rule.condition.text)}\n"
                    satisfied = f"{self._shared[shape.key]}({', '.join(map(repr, shape.literals))})"
                else:
                    satisfied = f"rule_{number}_of_{self._stem}"
                    text += self._alone(satisfied, rule.condition).rstrip("\n") + "\n\n"
            yield text + self._filed(rule, satisfied)

    def _shared_function(self, condition: Condition, shape: Shape) -> Iterator[str]:
        if shape.key not in self._shared:
            name = self._shared[shape.key] = f"shape_{len(self._shared) + 1}_of_{self._stem}"
            yield f"\n{self._together(name, condition)}"

    def _filed(self, rule: Rule, satisfied: str) -> str:
        arguments = [] if rule.scopes is None else [f"scopes={sorted(rule.scopes)!r}"]
        arguments += _patterns(rule)
        if satisfied:
            arguments.append(f"satisfied={satisfied}")
        if rule.effect == "deny":
            arguments = [repr(rule.name), f"ending={rule_denial(rule)!r}", *arguments]
        lines = "".join(f"    {argument},\n" for argument in arguments)
        return f"rules_of_{self._stem}.{rule.effect}(\n{lines})\n"


def _patterns(rule: Rule) -> list[str]:
    if rule.patterns is None:
        return ["prefixes=['']"]
    found = []
    ids = sorted({pattern.text for pattern in rule.patterns if not pattern.is_prefix})
    prefixes = sorted({pattern.text for pattern in rule.patterns if pattern.is_prefix})
    if ids:
        found.append(f"ids={ids!r}")
    if prefixes:
        found.append(f"prefixes={prefixes!r}")
    return found


def _check(resource: ResourcePolicy, stem: str, parameters: tuple[str, ...], shared: tuple[str, ...]) -> str:
    """The function that `decide` calls for a type: gathers what its conditions read, and judges."""
    arguments = ", ".join(("request", "key", "view", *shared))
    lines = [
        f"\ndef resource_policy_of_{stem}({arguments}):",
        "    resource = request.resource",
        f"    rules = found_of_{stem}.get((request.scope, resource.id))",
        "    if rules is None:",
        f"        rules = rules_of_{stem}.applying(request.scope, resource.id)",
    ]
    if not any(rule.condition for rule in resource.rules):
        return "\n".join([*lines, "    return rules.ending"]) + "\n"
    lines += ["    if rules.is_settled:", "        return rules.ending"]
    if "owner" in parameters:
        lines.append("    owner = owner_of(view, resource.owner)")
    if "attributes" in parameters:
        lines.append(f"    attributes = attributes_of_{stem}.read(view, resource.attributes)")
    lines.append(f"    return rules.judge({', '.join(parameters)})")
    return "\n".join(lines) + "\n"


def _condition(
    function: str,
    condition: Condition,
    parameters: tuple[str, ...],
    resource_type: str | None,
    names: Names,
    pool: ConstantPool,
) -> str:
    reads = names.reads(resource_type).expressions
    text = emit_condition(function, condition, parameters=parameters, reads=reads, pool=pool)
    return text.rstrip("\n") + "\n\n"
