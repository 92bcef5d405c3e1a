"""What is answered, for `/openapi.json`: what clients are generated from. Tests hold the answers to them."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

D = TypeVar("D")


class Shape(BaseModel):
    """Base of all answers: every member is always there, and no others are."""

    model_config = ConfigDict(extra="forbid")


class Mistake(Shape):
    """One mistake in a body or query."""

    code: str
    path: str = Field(examples=["$.scope"])
    detail: str


class Problem(BaseModel):
    """What everything but an answer looks like (RFC 9457). Branch on `code`."""

    type: str = Field(examples=["/docs#invalid_json"])
    title: str = Field(examples=["Bad Request"])
    status: int = Field(examples=[400])
    detail: str
    code: str = Field(examples=["invalid_json"])
    errors: list[Mistake] | None = Field(None, description="Every mistake of a body that was read.")


class Principal(Shape):
    """Who a key acts as."""

    kind: Literal["user", "service"]
    id: str


class CheckShape(Shape):
    """One check of the chain, explained."""

    check: str
    name: str
    outcome: Literal["passed", "failed", "faulted", "not_applicable", "not_reached"]
    reason: str | None
    rule: str | None
    detail: str
    values: dict[str, Any]


class DecisionShape(Shape):
    """A decision. **A deny is a 200**: act on `decision`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"description": "A decision. A deny is a 200."})

    id: str | None = Field(None, description="In a batch: the question's own.")
    decision: Literal["allow", "deny"]
    reason: str = Field(examples=["insufficient_scope"])
    http_status: int = Field(description="What the asking service should answer.", examples=[403])
    www_authenticate: str | None
    message: str
    check: str | None = Field(examples=["scope"])
    rule: str | None
    decision_id: str
    decided_at: str = Field(examples=["2026-11-24T06:03:19.123456789Z"])
    revision: int
    bundle: str = Field(examples=["sha256:…"])
    key_id: str | None
    principal: Principal | None
    workspace: str | None
    checks: list[CheckShape] | None = Field(None, description="With `?explain=true`.")


class FlipShape(Shape):
    """Changes that together would turn a denial into an allow; without any one of them it stays denied."""

    who: Literal["caller", "administrator", "author"] = Field(description="Who could make them.")
    steps: list[str] = Field(examples=[["give mira the role operator"]])


class ExplainedShape(Shape):
    """A decision in sentences, and what would turn a denial into an allow."""

    decision: DecisionShape
    sentences: list[str] = Field(examples=[["So it is denied, with insufficient_scope: …"]])
    changes: list[FlipShape] | None = Field(
        description="The smallest changes that would allow it, each decided again; empty where it is allowed, or none "
        "was found. Null: others were being looked for, so for this one nobody looked."
    )


class ItemFailure(Shape):
    """In place of a decision: why this one question of a batch has none."""

    id: str | None
    error: Problem


class BatchShape(Shape):
    """Results in the order of the questions."""

    results: list[DecisionShape | ItemFailure]


class Envelope(Shape, Generic[D]):
    """Around everything under `/v1`. `revision`: the facts are at least this new; after a change, that change."""

    data: D
    revision: int
    next_cursor: str | None = Field(description="Continues a list as `?cursor=`; null at its end.")


class WorkspaceShape(Shape):
    """A workspace."""

    id: str
    name: str
    created_at: str


class UserShape(Shape):
    """A user."""

    id: str
    workspace: str
    name: str
    suspended: bool


class ServicePrincipalShape(Shape):
    """A service principal."""

    id: str
    workspace: str
    name: str


class TeamShape(Shape):
    """A team."""

    id: str
    workspace: str
    name: str
    parent: str | None


class MembershipShape(Shape):
    """A direct membership."""

    workspace: str
    team: str
    user: str


class ResourceShape(Shape):
    """A registered resource."""

    type: str
    id: str
    workspace: str
    owner: str | None
    attributes: dict[str, Any]


class ResourceIdentity(Shape):
    """A resource by type and id."""

    type: str
    id: str


class RoleBindingShape(Shape):
    """A role binding; `resource` null: over the whole workspace."""

    id: str
    workspace: str
    role: str
    team: str | None
    user: str | None
    resource: ResourceIdentity | None


class AllowlistEntryShape(Shape):
    """One network, in canonical spelling."""

    cidr: str
    label: str


class AllowlistShape(Shape):
    """An allowlist."""

    workspace: str
    enabled: bool
    entries: list[AllowlistEntryShape]


class SecretShape(Shape):
    """One secret of a key. `in_grace`: superseded, and still good until `expires_at`."""

    number: int
    status: Literal["current", "in_grace", "ended"]
    created_at: str
    expires_at: str | None


class KeyShape(Shape):
    """A key, without its text. `status`, `last_used_at` and `secrets` are as seen now; its `ETag` leaves them out."""

    id: str
    workspace: str
    principal: Principal
    scopes: list[str]
    status: Literal["active", "not_yet_valid", "expired", "revoked"]
    created_at: str
    not_before: str | None
    expires_at: str | None
    revoked_at: str | None
    revoke_reason: str | None
    last_used_at: str | None = Field(description="When a right secret was last shown; null: never, as far as known.")
    cidrs: list[str]
    labels: dict[str, str]
    secrets: list[SecretShape]


class NewKeyShape(KeyShape):
    """A key just made. `key` is its text: shown now and never again."""

    key: str


class ReceiptShape(Shape):
    """A receipt to be kept: `ledger verify --revocation` shows what was decided on the key afterwards."""

    v: Literal[1]
    kind: Literal["revocation"]
    key_id: str
    workspace: str
    principal: Principal
    revoked_at: str = Field(description="Nanoseconds since 1970, UTC, decimal.", examples=["1795500199123456789"])
    reason: str | None = Field(examples=["leaked"])
    actor: str
    revision: int
    change_hash: str = Field(description="Hash of change `revision`.", examples=["c41d" * 16])


class RevokedKeyShape(KeyShape):
    """A key that was revoked, with the receipt of it."""

    receipt: ReceiptShape | None


class EffectShape(Shape):
    """One fact before and after."""

    entity: str
    key: list[str]
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class ChangeShape(Shape):
    """A change, hash-chained to the one before. Secrets are told by their hash alone."""

    revision: int
    at: str
    actor: str
    action: str
    workspace: str | None
    subject: str
    effects: list[EffectShape]
    note: str
    sealed_sha256: str | None
    previous_hash: str
    hash: str


class BundleShape(Shape):
    """A published set of policy files."""

    digest: str
    content_sha256: str
    published_at: str
    files: dict[str, str]


class PublishedShape(Shape):
    """A published bundle, without its files."""

    digest: str
    content_sha256: str
    published_at: str


class ActiveShape(Shape):
    """The bundle that decides from now on."""

    digest: str


class ShadowSide(Shape):
    """What one of the two bundles decided."""

    decision: Literal["allow", "deny"]
    reason: str
    check: str | None
    rule: str | None
    bundle: str


class ShadowExample(Shape):
    """One decision that the bundle in shadow would change."""

    decision_id: str
    decided_at: str
    revision: int
    change: Literal["allow_to_deny", "deny_to_allow", "other_reason"]
    active: ShadowSide
    candidate: ShadowSide
    request: dict[str, Any]


class ShadowFlips(Shape):
    """How often one thing would change. Reason and rule: of the side that denies."""

    change: Literal["allow_to_deny", "deny_to_allow", "other_reason"]
    reason: str
    rule: str | None
    count: int


class ShadowShape(Shape):
    """The bundle in shadow, as the worker that answered has seen it."""

    digest: str | None
    state: Literal["off", "linking", "running"]
    compared: int
    failures: int
    flips: list[ShadowFlips]
    examples: list[ShadowExample]


class PolicyState(Shape):
    """How the watched policy folder is."""

    error: str | None


class LedgerState(Shape):
    """How decisions are recorded. `warnings`: codes of what somebody should look at, such as `ledger_space_low`."""

    durability: Literal["fsync", "os", "off"]
    warnings: list[str]


class Health(Shape):
    """The process lives."""

    status: Literal["ok"]


class WorkerShape(Shape):
    """Where one of several workers stands. `trouble`: what keeps it from deciding, such as `worker_down`."""

    worker: int
    revision: int
    trouble: str | None


class Readiness(Shape):
    """The process can decide. Where there are several workers: `worker` is the one that answered."""

    status: Literal["ready"]
    revision: int
    bundle: str
    policy: PolicyState
    ledger: LedgerState
    worker: int | None = None
    workers: list[WorkerShape] | None = None
