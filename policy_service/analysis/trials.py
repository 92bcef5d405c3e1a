"""Requests tried by the real engine, one after the other, until a rule does what is asked of it.

A solver proves that there is no such request. That there is one, a good guess shows at a hundredth of the price.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from policy_service.analysis.built import built
from policy_service.analysis.concrete import USUAL_NOW
from policy_service.analysis.goal_checks import Seen, denied_at, is_about, see
from policy_service.analysis.guesses import Given, Guesser
from policy_service.analysis.situation import Situation
from policy_service.analysis.slices import Slice
from policy_service.analysis.worlds import snapshot_of
from policy_service.engine.conditions.evaluate import Fault, evaluate
from policy_service.engine.link import compile_policy
from policy_service.language.atoms import atoms
from policy_service.language.ir import Condition
from policy_service.language.policy import BuiltinCheck, Policy, Rule

RESOURCE_POLICY: Final = ("resource_policy", None)
_TAKEN: Final = frozenset(
    {
        "request.ip",
        "request.time",
        "key.labels",
        "principal.kind",
        "principal.teams",
        "principal.roles",
        "resource.owner",
    }
)
"""What a background tells, besides declared values: whatever is no name of the request's own."""
_MAX_BACKGROUNDS: Final = 6
_MAX_FELLOWS: Final = 64
_WAYS: Final = 2
_MAX_WAYS: Final = 24
_KEPT: Final = 4
"""Guesses that satisfy one condition, to be tried whole."""


class Trials:
    """The engine under one policy, and what has been learnt of its requests.

    Cost: one link of the policy; then some 0.3 ms a request.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._program = compile_policy(policy)
        self._guessers: dict[str, Guesser] = {}
        self._backgrounds: dict[Slice, list[Given]] = {}
        self._in_the_way: dict[Slice, Sequence[Rule]] = {}
        self._before = _names_before(policy)

    def guesser(self, type_: str) -> Guesser:
        """The guesser for one resource type."""
        if type_ not in self._guessers:
            self._guessers[type_] = Guesser(self._policy, type_, USUAL_NOW)
        return self._guessers[type_]

    def see(self, situation: Situation) -> Seen | None:
        """What the engine says to a situation."""
        return see(self._policy, situation.request, snapshot_of(self._program, situation.facts), situation.now)

    def of_rule(self, rule: Rule, part: Slice) -> Iterator[Seen]:
        """Requests that may show a rule at work, in this order: not satisfied, then satisfied.

        The backgrounds that let the rule decide come first the next time: what the other rules of a slice want to see
        is much the same for all.
        """
        if part.scope is None or part.type is None:
            return
        satisfying, others = self._guessed(rule, part.type)
        for given in others:
            yield from self._built(part, given)
        for number, given in enumerate(satisfying):
            for background in self._of_slice(part)[: _MAX_BACKGROUNDS if number == 0 else 1]:
                for seen in self._built(part, _together(rule, given, background)):
                    if speaks_for(rule, seen):
                        self._prefer(part, background)
                    yield seen

    def ways_of_rule(self, rule: Rule, part: Slice) -> Iterator[tuple[Situation, Seen]]:
        """Requests that show the parts of a rule's condition in as many ways as guesses do, before two backgrounds."""
        if part.scope is None or part.type is None:
            return
        for given in self._different(rule, part.type):
            for background in self._of_slice(part)[:_WAYS]:
                situation = built(self._policy, part.scope, part.type, {**background, **given})
                seen = self.see(situation)
                if seen is not None:
                    yield situation, seen

    def _different(self, rule: Rule, type_: str) -> Iterator[Given]:
        """One guess for each way in which the atomic conditions can come out together."""
        parts = () if rule.condition is None else atoms(rule.condition)
        alone = [Condition(one.expr.__class__.__name__, one.expr) for one in parts]
        found: set[tuple[bool | None, ...]] = set()
        conditions = [] if rule.condition is None else [rule.condition]
        for given in self.guesser(type_).givens(conditions, rule.patterns):
            values = [evaluate(one, given.__getitem__) for one in alone]
            way = tuple(None if isinstance(value, Fault) else value for value in values)
            if way not in found:
                found.add(way)
                yield given
            if len(found) == _MAX_WAYS:
                return

    def _built(self, part: Slice, given: Given) -> Iterator[Seen]:
        seen = self.see(built(self._policy, str(part.scope), str(part.type), given))
        if seen is not None:
            yield seen

    def _guessed(self, rule: Rule, type_: str) -> tuple[list[Given], list[Given]]:
        """Guesses for which a rule's condition is satisfied, and some for which it is not, or faults."""
        conditions = [] if rule.condition is None else [rule.condition]
        satisfying: list[Given] = []
        others: dict[bool, Given] = {}
        for given in self.guesser(type_).givens(conditions, rule.patterns):
            value = True if rule.condition is None else evaluate(rule.condition, given.__getitem__)
            if value is True:
                satisfying.append(given)
            else:
                others.setdefault(isinstance(value, Fault), given)
            if len(satisfying) >= _KEPT and (others or rule.condition is None):
                break
        return satisfying[:_KEPT], [others[is_fault] for is_fault in sorted(others)]

    def learn(self, part: Slice, seen: Seen, fellows: Sequence[Rule]) -> None:
        """Take what a request met for a background of others.

        Args:
            fellows: the rules that had to be looked at until it was found.
        """
        self._in_the_way[part] = fellows[-_MAX_FELLOWS:]
        paths = self._declared(part) | _TAKEN
        # Behind the one that was of use the last time: it may be long, and then costs more than it tells.
        self._of_slice(part).insert(1, {path: seen.facts.read(path) for path in sorted(paths)})

    def in_the_way(self, part: Slice) -> Sequence[Rule]:
        """Rules that had to be looked at the last time: they may be in the way of others as well."""
        return self._in_the_way.get(part, ())

    def _declared(self, part: Slice) -> frozenset[str]:
        return frozenset(self.guesser(part.type or "").everything())

    def _of_slice(self, part: Slice) -> list[Given]:
        """Nothing said at all, and something said of everything; asked by a service, and by a user."""
        if part not in self._backgrounds:
            said = {"resource.owner": "owen", **self.guesser(part.type or "").everything()}
            addressed = {**said, "request.ip": self.guesser(part.type or "").usual_point}
            user: Given = {"principal.kind": "user"}
            self._backgrounds[part] = [{}, addressed, user, {**addressed, **user}]
        return self._backgrounds[part]

    def _prefer(self, part: Slice, background: Given) -> None:
        several = self._of_slice(part)
        several.remove(background)
        several.insert(0, background)

    def is_reached(self, seen: Seen) -> bool:
        """Whether no check before the rules denies."""
        return seen.decision.allowed or denied_at(seen.decision) not in self._before

    def speaking(self, part: Slice, seen: Seen) -> Iterator[Rule]:
        """The rules that have a say in a request: satisfied, or deny rules that fault."""
        for rule in self._policy.resources[part.type or ""].rules:
            if is_about(rule, seen.facts.request) and speaks(rule, outcome(rule, seen)):
                yield rule


def _names_before(policy: Policy) -> frozenset[tuple[str | None, str | None]]:
    found: list[tuple[str | None, str | None]] = []
    for check in policy.chain:
        if check.name == "resource_policy" and isinstance(check, BuiltinCheck):
            break
        found.append((check.name, None) if isinstance(check, BuiltinCheck) else ("condition", check.name))
    return frozenset(found)


def _together(rule: Rule, given: Given, background: Given) -> Given:
    """A guess before a background: what it does not need for the rule to be satisfied, it leaves to that."""
    found = {**background, **given}
    for path in sorted(given.keys() & background.keys()):
        other = {**found, path: background[path]}
        if rule.condition is None or evaluate(rule.condition, other.__getitem__) is True:
            found = other
    return found


def outcome(rule: Rule, seen: Seen) -> bool | Fault:
    """What a rule's condition comes to."""
    return True if rule.condition is None else evaluate(rule.condition, seen.facts.read)


def speaks(rule: Rule, value: bool | Fault) -> bool:
    """Whether a rule has a say: satisfied, or a deny rule that faults."""
    return value is True or (rule.effect == "deny" and isinstance(value, Fault))


def speaks_for(rule: Rule, seen: Seen) -> bool:
    """Whether a rule seems to be what a decision rests on."""
    if rule.effect == "deny":
        return denied_at(seen.decision) == RESOURCE_POLICY and seen.decision.rule == rule.name
    return seen.decision.allowed or denied_at(seen.decision) != RESOURCE_POLICY
