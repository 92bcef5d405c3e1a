"""The oracle: what a request ought to be answered, read straight off the design, slowly.

A second implementation of the chain that shares nothing with the engine but the nouns of `policy_service.model`. No
caches, no indexes, nothing compiled: each question is answered by looking at every fact. Quotations are the design's
sentences; the line below each is what they come to.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from policy_service.model.facts import (
    ApiKey,
    Fact,
    IpAllowlist,
    Membership,
    Resource,
    RoleBinding,
    Team,
    User,
)
from policy_service.model.reasons import REASONS
from policy_service.model.request import Request
from policy_service.model.values import ABSENT, WRONG
from tests.oracle import addresses, values
from tests.oracle.conditions import FAULT, judge
from tests.oracle.rule_files import RuleFiles

F = TypeVar("F", bound=Fact)


class Verdict(msgspec.Struct, frozen=True):
    """What matters of a decision: whether, why, which check and rule said so, and the PEP's HTTP status."""

    allowed: bool
    reason: str
    check: str | None
    rule: str | None
    http_status: int


ALLOWED = Verdict(True, "allowed", None, None, 200)


def decide(files: dict[str, str], facts: list[Fact], request: Request, now: int) -> Verdict:
    """The verdict on one request, from valid rule files and all facts of all workspaces."""
    return Oracle(RuleFiles(files), facts, request, now).verdict()


class Oracle:
    """One question. Each `check_…` method returns `(reason, rule)` when its check fails, else None."""

    def __init__(self, rules: RuleFiles, facts: list[Fact], request: Request, now: int) -> None:
        self.rules = rules
        self.facts = facts
        self.request = request
        self.now = now
        self.key = self.find_key()

    def verdict(self) -> Verdict:
        # "the first in chain order" gives the reason.
        for entry in self.rules.chain:
            check = entry["check"]
            failure = self.check_condition(entry) if check == "condition" else getattr(self, f"check_{check}")()
            if failure is not None:
                reason, rule = failure
                # "own codes are 403"
                status = REASONS[reason].http_status if reason in REASONS else 403
                return Verdict(False, reason, check, rule, status)
        return ALLOWED

    # ---- looking at facts

    def of_workspace(self, kind: type[F]) -> list[F]:
        """Facts are looked up in the *key's* workspace, says the design."""
        return [fact for fact in self.facts if isinstance(fact, kind) and fact.workspace == self.key.workspace]  # type: ignore[attr-defined]

    def find_key(self) -> Any:
        found = [fact for fact in self.facts if isinstance(fact, ApiKey) and fact.id == self.request.credential.key_id]
        return found[0] if found else None

    def find_user(self) -> User | None:
        found = [user for user in self.of_workspace(User) if user.id == self.key.principal_id]
        return found[0] if found and self.key.principal_kind == "user" else None

    def find_resource(self) -> Resource | None:
        """By its identity, `(workspace, type, id)`."""
        asked = self.request.resource
        found = [one for one in self.of_workspace(Resource) if (one.type, one.id) == (asked.type, asked.id)]
        return found[0] if found else None

    def teams(self) -> set[str]:
        """Nested: "a member of a child team has the parent's bindings". None for a service."""
        user = self.find_user()
        if user is None:
            return set()
        parents = {team.id: team.parent for team in self.of_workspace(Team)}
        mine = {one.team for one in self.of_workspace(Membership) if one.user == user.id and one.team in parents}
        while True:
            larger = mine | {parent for team in mine if (parent := parents[team]) in parents and parent is not None}
            if larger == mine:
                return mine
            mine = larger

    def bound_roles(self) -> set[str]:
        """What role bindings give "to a team or a user, over the workspace or over one resource"."""
        user, teams = self.find_user(), self.teams()
        asked = self.request.resource
        roles = set()
        for binding in self.of_workspace(RoleBinding):
            to_me = user is not None and (binding.user == user.id or binding.team in teams)
            everywhere = binding.resource_type is None
            here = (binding.resource_type, binding.resource_id) == (asked.type, asked.id)
            if to_me and (everywhere or here):
                roles.add(binding.role)
        return roles

    # ---- the seven built-in checks, each in the order of the table of reasons

    def check_credential(self) -> tuple[str, str | None] | None:
        # "its outcome (`missing`, `malformed`, `unknown`, `verified(key, secret slot)`) is an *input* of `decide`"
        outcome = self.request.credential.outcome
        if outcome == "missing":
            return "missing_credentials", None
        if outcome == "malformed":
            return "malformed_key", None
        if outcome == "unknown" or self.key is None:
            return "unknown_key", None
        # A secret that this snapshot does not have is as unknown as a key; a key named by id alone shows no secret.
        slot = self.request.credential.slot
        if slot is not None and slot not in [one.number for one in self.key.slots]:
            return "unknown_key", None
        return None

    def check_revocation(self) -> tuple[str, str | None] | None:
        key, user = self.key, self.find_user()
        # "a revoked key is never allowed"
        if key.revoked_at is not None:
            return "revoked_key", None
        # "Valid: `not_before ≤ now < expires_at`"; "grace and expiry of a slot are facts judged in `revocation`".
        if key.expires_at is not None and not self.now < key.expires_at:
            return "expired_key", None
        for slot in key.slots:
            shown = slot.number == self.request.credential.slot
            if shown and slot.expires_at is not None and not self.now < slot.expires_at:
                return "expired_key", None
        if key.not_before is not None and not key.not_before <= self.now:
            return "key_not_yet_valid", None
        if user is not None and user.suspended:
            return "principal_suspended", None
        return None

    def check_workspace(self) -> tuple[str, str | None] | None:
        claimed = self.request.resource.workspace
        # "A workspace claimed in the request never selects facts; if it differs, `workspace_mismatch`."
        if claimed is not None and claimed != self.key.workspace:
            return "workspace_mismatch", None
        # "A resource that is not registered there is `unknown_resource`, unless its type says `unregistered: allow`
        # *and* the request claims the key's workspace."
        policy = self.rules.resources.get(self.request.resource.type, {})
        welcome = policy.get("unregistered", "deny") == "allow" and claimed == self.key.workspace
        if self.find_resource() is None and not welcome:
            return "unknown_resource", None
        return None

    def check_scope(self) -> tuple[str, str | None] | None:
        scope = self.request.scope
        if scope not in self.rules.scopes:
            return "unknown_scope", None
        if self.request.resource.type not in self.rules.scopes[scope]["on"]:
            return "scope_resource_mismatch", None
        # "`scope` judges closure(key's scopes) only"
        if scope not in self.rules.scope_closure(set(self.key.scopes)):
            return "insufficient_scope", None
        return None

    def check_rbac(self) -> tuple[str, str | None] | None:
        # "A check that has nothing to say passes (rbac for a service key …)"
        if self.key.principal_kind == "service":
            return None
        # "`rbac` [judges] closure(bindings)"
        if self.request.scope not in self.rules.role_scopes(self.bound_roles()):
            return "role_not_granted", None
        return None

    def check_resource_policy(self) -> tuple[str, str | None] | None:
        policy = self.rules.resources.get(self.request.resource.type)
        # "A type in `on:` without a file is legal (`resource_not_allowed`)."
        if policy is None:
            return "resource_not_allowed", None
        applying = [rule for rule in policy.get("rules", []) if self.applies(rule)]
        judged = [(rule["name"], rule["effect"], self.satisfied(rule), rule) for rule in applying]
        # "among several of a kind, the first *by name*"
        judged.sort(key=lambda one: one[0])
        # "a satisfied deny rule always denies"; "`resource_denied` (a deny rule without its own code)"
        for name, effect, outcome, rule in judged:
            if effect == "deny" and outcome is True:
                return rule.get("reason", "resource_denied"), name
        # "a `deny` rule that faults denies with `policy_error`, naming the rule"; "A satisfied rule gives the reason
        # before a faulting one".
        for name, effect, outcome, _ in judged:
            if effect == "deny" and outcome == FAULT:
                return "policy_error", name
        # "`default: allow`: allowed unless a deny rule is satisfied or faults; allow rules then change nothing."
        if policy.get("default", "deny") == "allow":
            return None
        # "With `default: deny` at least one allow rule must be satisfied"; one "that faults is unsatisfied".
        if any(effect == "allow" and outcome is True for _, effect, outcome, _ in judged):
            return None
        return "resource_not_allowed", None

    def check_ip_allowlist(self) -> tuple[str, str | None] | None:
        text = self.request.source_ip
        address = None if text is None else addresses.parse_address(text)
        # "A present but invalid address always fails `ip_allowlist`, list or no list"; `""` is present and invalid.
        if text is not None and address is None:
            return "invalid_source_ip", None
        # "the workspace's list *and* the key's CIDRs"; "A list that is on and empty denies all."
        lists = [[entry.cidr for entry in one.entries] for one in self.of_workspace(IpAllowlist) if one.enabled]
        if self.key.cidrs:
            lists.append(list(self.key.cidrs))
        # "an absent one fails it where a list or the key's CIDRs apply"
        if address is None:
            return ("invalid_source_ip", None) if lists else None
        for cidrs in lists:
            if not any(addresses.contains(cidr, address) for cidr in cidrs):
                return "ip_not_allowed", None
        return None

    # ---- conditions

    def check_condition(self, entry: dict[str, Any]) -> tuple[str, str | None] | None:
        asked_type = entry.get("resource")
        # `resource`: "a type; needed to read resource.attr". The check is about that type only.
        if asked_type is not None and asked_type != self.request.resource.type:
            return None
        # "a faulting `require` or `when` denies `policy_error`"
        if "when" in entry:
            applies = self.judge(entry["when"], asked_type)
            if applies == FAULT:
                return "policy_error", entry["name"]
            if applies is False:
                return None
        # "An unsatisfied `require` denies with `reason`"
        satisfied = self.judge(entry["require"], asked_type)
        if satisfied == FAULT:
            return "policy_error", entry["name"]
        return None if satisfied is True else (entry["reason"], entry["name"])

    def applies(self, rule: dict[str, Any]) -> bool:
        """Whether "rules match the requested scope exactly"; absent scopes or resources mean all; one trailing `*`."""
        if "scopes" in rule and self.request.scope not in rule["scopes"]:
            return False
        if "resources" not in rule:
            return True
        asked = self.request.resource.id
        return any(
            asked[: len(text) - 1] == text[:-1] if text.endswith("*") else asked == text for text in rule["resources"]
        )

    def satisfied(self, rule: dict[str, Any]) -> bool | str:
        return self.judge(rule["when"], self.request.resource.type) if "when" in rule else True

    def judge(self, text: str, resource_type: str | None) -> bool | str:
        """True, False or FAULT. Without a resource type, a condition cannot mention attributes."""
        policy = self.rules.resources.get(resource_type, {}) if resource_type is not None else {}
        attributes = policy.get("attributes", {})
        return judge(
            text,
            self.readable(attributes),
            attributes={name: values.type_of(one) for name, one in attributes.items()},
            context={name: values.type_of(one) for name, one in self.rules.context.items()},
            networks=self.rules.networks,
        )

    def readable(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """Everything that conditions can see, by path."""
        key, asked, registered = self.key, self.request.resource, self.find_resource()
        found = {
            "request.scope": self.request.scope,
            "request.time": values.timestamp(self.now),
            "request.ip": self.readable_ip(),
            "key.id": key.id,
            "key.kind": key.principal_kind,
            "key.scopes": list(key.scopes),  # "`key.scopes` as issued"
            "key.created_at": values.timestamp(key.created_at),
            "key.expires_at": ABSENT if key.expires_at is None else values.timestamp(key.expires_at),
            "key.labels": dict(key.labels),
            "principal.id": key.principal_id,
            "principal.kind": key.principal_kind,
            "principal.teams": sorted(self.teams()),  # "teams with ancestors"; "For a service … empty"
            # "roles in force for this resource", with those they inherit
            "principal.roles": sorted(self.rules.role_lineage(self.bound_roles())),
            "resource.type": asked.type,
            "resource.id": asked.id,
            "resource.workspace": key.workspace,
            # "a registered resource's owner is the store's, even when absent"
            "resource.owner": asked.owner if registered is None else registered.owner,
            "workspace.id": key.workspace,
        }
        if found["resource.owner"] is None:
            found["resource.owner"] = ABSENT
        stored = None if registered is None else registered.attributes
        for name, value in values.attribute_values(attributes, stored, asked.attributes).items():
            found[f"resource.attr.{name}"] = value
        for name, value in values.context_values(self.rules.context, self.request.context).items():
            found[f"request.context.{name}"] = value
        return found

    def readable_ip(self) -> Any:
        """Either, absent or invalid, "is a fault in a condition"; an invalid one is present all the same."""
        if self.request.source_ip is None:
            return ABSENT
        address = addresses.parse_address(self.request.source_ip)
        return WRONG if address is None else f"{address[0]} {address[1]}"
