"""Hypothesis profiles, chosen by HYPOTHESIS_PROFILE: `default` is modest, `ci` the same every time, `deep` long,
`mutation` short: whether a theorem falls is all that is asked, not the smallest world in which it does."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
"""Whole worlds are large; how long they take to draw says nothing about the code under test."""

_PHASES = [phase for phase in Phase if phase is not Phase.explain]
"""Explaining a failure runs it under a tracer, again and again: for whole worlds that takes minutes."""

settings.register_profile("default", max_examples=60, deadline=None, suppress_health_check=_SLOW, phases=_PHASES)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
settings.register_profile("deep", settings.get_profile("default"), max_examples=4000)
settings.register_profile(
    "mutation", settings.get_profile("ci"), max_examples=15, phases=[Phase.explicit, Phase.generate], database=None
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

pytest_plugins = ["tests.databases", "tests.security.counting"]
