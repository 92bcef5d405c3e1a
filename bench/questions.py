"""Questions about a world, drawn from its seed, with the answers expected.

They come from a few busy keys and many quiet ones (Zipf), and are denied for every reason there is, in the shares of
`SHARES`. The answer expected is the engine's. Before anybody relies on it, the oracle of `tests/oracle`, a second
implementation that shares no code with the engine, has judged a question of every reason in that world: see `judged`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import accumulate
from typing import Any, Final

import msgspec

from bench.workloads import ACME, NOW, READ, RUN, SPECIAL, TICKETS, Holder, World, key_text, pipeline_of, snapshot_of
from policy_service.engine.decide import decide
from policy_service.engine.program import Program
from policy_service.model.request import MALFORMED, MISSING, UNKNOWN, Credential, Request, ResourceRef
from tests.oracle.oracle import Oracle
from tests.oracle.rule_files import RuleFiles
from tests.worlds import program_of

SHARES: Final = {
    "allowed": 0.870,
    "missing_credentials": 0.004,
    "malformed_key": 0.004,
    "unknown_key": 0.012,
    "revoked_key": 0.010,
    "expired_key": 0.010,
    "key_not_yet_valid": 0.002,
    "principal_suspended": 0.003,
    "workspace_mismatch": 0.003,
    "unknown_resource": 0.010,
    "unknown_scope": 0.002,
    "scope_resource_mismatch": 0.002,
    "insufficient_scope": 0.020,
    "role_not_granted": 0.015,
    "production_locked": 0.010,
    "resource_denied": 0.008,
    "resource_not_allowed": 0.004,
    "policy_error": 0.001,
    "invalid_source_ip": 0.002,
    "ip_not_allowed": 0.006,
    "ticket_required": 0.002,
}
"""How often each reason is the answer: nearly nine of ten are allowed, and most denials are about keys and grants."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One question: as a caller asks it (`text` is the key shown) and as a decision sees it, and the answer expected.

    `holder` is None where no known key was shown.
    """

    request: Request
    text: str | None
    holder: Holder | None
    reason: str

    @property
    def allowed(self) -> bool:
        """Whether the answer is allow."""
        return self.reason == "allowed"


class Draw:
    """Draws questions about a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = random.Random(world.seed)
        hundreds = world.keys // 100
        self._ordinary = self._zipf(hundreds * 90)
        self._special = self._zipf(hundreds)
        fillers = world.policy()[: min(400, world.rules - 4)]
        self.opened = [pipeline_of(rule) for rule in fillers if rule.effect == "allow"]
        self.closed = [pipeline_of(rule) for rule in fillers if rule.effect == "deny"]

    def _zipf(self, count: int) -> list[float]:
        return list(accumulate(1 / rank**self.world.zipf for rank in range(1, count + 1)))

    def _rank(self, weights: list[float]) -> int:
        return self.random.choices(range(len(weights)), cum_weights=weights)[0]

    def ordinary(self) -> Holder:
        """A key that nothing is wrong with."""
        hundred, place = divmod(self._rank(self._ordinary), 90)
        return self.world.holder(hundred * 100 + 10 + place)

    def special(self, state: str) -> Holder:
        """A key in such a state."""
        return self.world.holder(self._rank(self._special) * 100 + SPECIAL.index(state))

    def address(self) -> str:
        """On the allowlist: IPv4 four times of five."""
        number = self.random.randrange
        if number(5) == 0:
            return f"2001:db8::{number(1, 65536):x}:{number(65536):x}"
        return f"10.{number(0, 32, 2)}.{number(256)}.{number(1, 255)}"

    def etl(self, sort: str = "", count: int = 200) -> str:
        """A pipeline of a sort."""
        return f"etl-{sort}{self.random.randrange(count)}"

    def open_pipeline(self) -> str:
        """One that somebody with the scope may use: by a rule for many, or by one of the many rules for few."""
        return self.etl() if self.random.randrange(4) else self.random.choice(self.opened)

    def asked(self, holder: Holder | None, **other: Any) -> tuple[Holder | None, Request]:
        """A question that would be allowed but for `other`, fields of the request, `type` or `id`."""
        claimed = ACME if self.random.randrange(3) == 0 else None
        name = other.pop("id", None) or self.open_pipeline()
        resource = ResourceRef(other.pop("type", "pipeline"), name, other.pop("workspace", claimed))
        default = {"scope": RUN if self.random.randrange(2) else READ, "source_ip": self.address(), "context": {}}
        ticket = {"context": {"ticket": f"{TICKETS}{self.random.randrange(1000)}"}} if claimed else {}
        credential = other.pop("credential", None) or Credential("verified", holder.key if holder else None, 1)
        return holder, Request(credential=credential, resource=resource, **{**default, **ticket, **other})


_ASKS: Final[dict[str, Callable[[Draw], tuple[Holder | None, Request]]]] = {
    "allowed": lambda draw: (
        draw.asked(draw.special("operator"), id=draw.etl("prod-", 20))
        if draw.random.randrange(20) == 0
        else draw.asked(draw.ordinary())
    ),
    "missing_credentials": lambda draw: draw.asked(None, credential=MISSING),
    "malformed_key": lambda draw: draw.asked(None, credential=MALFORMED),
    "unknown_key": lambda draw: draw.asked(None, credential=UNKNOWN),
    "revoked_key": lambda draw: draw.asked(draw.special("revoked")),
    "expired_key": lambda draw: draw.asked(draw.special("expired")),
    "key_not_yet_valid": lambda draw: draw.asked(draw.special("early")),
    "principal_suspended": lambda draw: draw.asked(draw.special("suspended")),
    "workspace_mismatch": lambda draw: draw.asked(draw.ordinary(), workspace="globex"),
    "unknown_resource": lambda draw: draw.asked(draw.ordinary(), id=f"nowhere-{draw.random.randrange(1000)}"),
    "unknown_scope": lambda draw: draw.asked(draw.ordinary(), scope="pipelines:fly"),
    "scope_resource_mismatch": lambda draw: draw.asked(draw.ordinary(), scope="connections:read"),
    "insufficient_scope": lambda draw: draw.asked(draw.special("readers"), scope=RUN),
    "role_not_granted": lambda draw: draw.asked(draw.special("guests"), scope=RUN),
    "production_locked": lambda draw: draw.asked(draw.ordinary(), id=draw.etl("prod-", 20)),
    "resource_denied": lambda draw: draw.asked(
        draw.ordinary(), id=draw.random.choice([*draw.closed, draw.etl("frozen-", 10)])
    ),
    "resource_not_allowed": lambda draw: draw.asked(draw.ordinary(), id=f"other-{draw.random.randrange(20)}"),
    "policy_error": lambda draw: draw.asked(draw.ordinary(), id=draw.etl("faulty-", 5)),
    "invalid_source_ip": lambda draw: draw.asked(draw.ordinary(), source_ip="10.0.0.01"),
    "ip_not_allowed": lambda draw: (
        draw.asked(draw.special("narrow"), source_ip="10.2.0.9")
        if draw.random.randrange(2)
        else draw.asked(draw.ordinary(), source_ip="203.0.113.9")
    ),
    "ticket_required": lambda draw: draw.asked(draw.ordinary(), context={"ticket": "none"}),
}
_TEXTS: Final = {"missing": None, "malformed": "psx_nonsense", "unknown": key_text("stranger0001")}


def questions(world: World, count: int) -> list[Question]:
    """So many questions in the world's shares, each reason at least once, shuffled."""
    draw = Draw(world)
    reasons = [reason for reason, share in SHARES.items() for _ in range(max(1, round(share * count)))]
    draw.random.shuffle(reasons)
    return [_question(draw, reason) for reason in reasons]


def _question(draw: Draw, reason: str) -> Question:
    holder, request = _ASKS[reason](draw)
    text = key_text(holder.key) if holder else _TEXTS[request.credential.outcome]
    return Question(request=request, text=text, holder=holder, reason=reason)


def judged(world: World, count: int, program: Program | None = None) -> list[Question]:
    """Questions whose answers were looked into: the engine gives every one of them, the oracle one of every reason.

    Raises:
        AssertionError: an answer is not the one that the question was drawn for.
    """
    asked = questions(world, count)
    facts = list(world.facts())
    snapshot = snapshot_of(world, program or program_of(world.files()))
    for question in asked:
        answer = decide(question.request, snapshot, NOW).reason
        assert answer == question.reason, (question, answer)
    rules = RuleFiles(world.files())
    for question in {question.reason: question for question in asked}.values():
        verdict = Oracle(rules, facts, question.request, NOW).verdict()
        assert verdict.reason == question.reason, (question, verdict)
    return asked
