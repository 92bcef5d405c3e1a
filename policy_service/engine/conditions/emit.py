"""PLACEHOLDER until the emitter of conditions lands (its owner overwrites this file)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from policy_service.language.ir import Condition


class ConstantPool:
    def __init__(self) -> None:
        self.values: dict[str, object] = {}

    def add(self, value: object, hint: str) -> str:
        raise NotImplementedError


def emit_condition(
    function: str, condition: Condition, *, parameters: Sequence[str], reads: Mapping[str, str], pool: ConstantPool
) -> str:
    raise NotImplementedError("the emitter of conditions has not landed yet")
