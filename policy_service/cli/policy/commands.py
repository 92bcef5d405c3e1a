"""`policy`: each command stands in a file named after its verb; those that say which rules decide, in `live`."""

from __future__ import annotations

from policy_service.cli.policy.check import check_policy, show, write_schemas
from policy_service.cli.policy.diff import diff_policies
from policy_service.cli.policy.explain import explain_decision, why_not_allowed
from policy_service.cli.policy.fmt import format_policy
from policy_service.cli.policy.lint import lint_policy
from policy_service.cli.policy.live import activate, history, rollback
from policy_service.cli.policy.prove import prove_policy
from policy_service.cli.policy.shadow import shadow
from policy_service.cli.policy.testing.run import run_tests
from policy_service.cli.shared.nouns import noun

app = noun("Rule files: check them, see what they mean.")

for name, command in (
    ("check", check_policy),
    ("show", show),
    ("schema", write_schemas),
    ("shadow", shadow),
    ("test", run_tests),
    ("lint", lint_policy),
    ("fmt", format_policy),
    ("prove", prove_policy),
    ("diff", diff_policies),
    ("explain", explain_decision),
    ("why-not", why_not_allowed),
    ("activate", activate),
    ("history", history),
    ("rollback", rollback),
):
    app.command(name)(command)
