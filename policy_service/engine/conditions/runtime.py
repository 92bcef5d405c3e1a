"""PLACEHOLDER until the emitter of conditions lands (its owner overwrites this file)."""

from __future__ import annotations

from collections.abc import Mapping

PRELUDE: Mapping[str, object] = {}
