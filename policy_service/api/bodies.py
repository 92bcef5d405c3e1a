"""What callers send: one strict model per body. They validate, and they are the request schemas of `/openapi.json`.

Strict: no conversion of any kind, no unknown members. Texts are bounded by the size of the body; ids by their pattern.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from policy_service.model.names import ID, NAME, RESOURCE_ID
from policy_service.service.administration.secrets import MAX_GRACE_S

MAX_BATCH: Final = 1000
TEXT: Final = "<text>"
OBJECT: Final = "<object>"
"""Tags of the two forms a resource may be sent in. No member path can hold them by accident: see `validation`."""

_INT64: Final = (1 << 63) - 1

_ID: Final = f"^{ID.pattern}$"
_NAME: Final = f"^{NAME.pattern}$"
_RESOURCE_ID: Final = f"^{RESOURCE_ID.pattern}$"
_RESOURCE_TEXT: Final = f"^{NAME.pattern}:{RESOURCE_ID.pattern}$"

FORMS: Final = {
    _ID: "1 to 128 letters, digits and `._@-`, starting with a letter or digit",
    _NAME: "lowercase letters, digits, `_` and `-`, starting with a letter",
    _RESOURCE_ID: "1 to 128 letters, digits and `._@/:-`, starting with a letter or digit",
    "^sha256:[0-9a-f]{64}$": "`sha256:` and 64 hexadecimal digits",
    _RESOURCE_TEXT: "`type:id`, such as `pipeline:etl-42`",
}
"""What a pattern asks for, in words."""

Id = Annotated[str, Field(pattern=_ID, examples=["mira"])]
TypeName = Annotated[str, Field(pattern=_NAME, max_length=128, examples=["pipeline"])]
ResourceId = Annotated[str, Field(pattern=_RESOURCE_ID, examples=["etl-42"])]
ResourceText = Annotated[
    str,
    Field(
        pattern=_RESOURCE_TEXT,
        max_length=257,
        description="`type:id`, split at the first colon.",
        examples=["pipeline:etl-42"],
    ),
]
Instant = Annotated[str, Field(description="RFC 3339, with a zone.", examples=["2027-01-01T00:00:00Z"], max_length=40)]
Name = Annotated[str, Field(max_length=256, description="For people.")]

Note = Annotated[str, Field(max_length=256, description="For people: stands in the changes.", examples=["CHG-1042"])]


def _form(value: Any) -> str | None:
    return TEXT if isinstance(value, str) else OBJECT if isinstance(value, dict) else None


_BY_FORM: Final = Discriminator(_form)


class Body(BaseModel):
    """Base of all bodies."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, regex_engine="rust-regex")


class ResourceClaim(Body):
    """The resource as the caller knows it. `owner` and `attributes` count only where the store does not know better."""

    type: TypeName
    id: ResourceId
    workspace: str | None = Field(None, description="Must be the key's; never selects facts.", examples=["demo"])
    owner: str | None = None
    attributes: dict[str, Any] | None = Field(None, examples=[{"env": "prod"}])


class DecideBody(Body):
    """One question: may this key use this scope on this resource from this address, now?"""

    key: str | None = Field(None, description="As the client presented it; absent when it presented none.")
    scope: str = Field(examples=["pipelines:run"])
    resource: Annotated[Annotated[ResourceText, Tag(TEXT)] | Annotated[ResourceClaim, Tag(OBJECT)], _BY_FORM]
    source_ip: str | None = Field(None, description="Where the client came from.", examples=["203.0.113.7"])
    context: dict[str, Any] | None = Field(None, description="What the policy declares in context.yaml.")
    min_revision: int | None = Field(None, ge=0, le=_INT64, description="Decide on facts at least this new.")


class BatchItem(DecideBody):
    """One question of a batch."""

    id: str | None = Field(None, max_length=128, description="Echoed in the result.", examples=["row-1"])


class BatchBody(Body):
    """Questions that are decided on one snapshot at one instant."""

    requests: list[BatchItem] = Field(min_length=1, max_length=MAX_BATCH)


class BatchEnvelope(Body):
    """A batch whose questions are still to be read, each by itself."""

    requests: list[Any] = Field(min_length=1, max_length=MAX_BATCH)


class UserBody(Body):
    """A user. Without `suspended`, a user that exists keeps it."""

    name: Name = ""
    suspended: bool | None = None


class ServicePrincipalBody(Body):
    """A service principal: a program that acts with keys of its own."""

    name: Name = ""


class TeamBody(Body):
    """A team. `parent`: the team whose bindings its members have as well."""

    name: Name = ""
    parent: Id | None = None


class ResourceBody(Body):
    """A registered resource. Attributes are checked against their declared types when they are read."""

    owner: Id | None = None
    attributes: dict[str, Any] = Field(default_factory=dict, examples=[{"env": "prod"}])


class ResourceName(Body):
    """A resource by type and id."""

    type: TypeName
    id: ResourceId


class RoleBindingBody(Body):
    """Gives a role to exactly one of `team` and `user`, over the workspace or over one registered resource."""

    role: TypeName = Field(examples=["operator"])
    team: Id | None = None
    user: Id | None = None
    resource: Annotated[Annotated[ResourceText, Tag(TEXT)] | Annotated[ResourceName, Tag(OBJECT)], _BY_FORM] | None = (
        None
    )


class AllowlistEntryBody(Body):
    """One network."""

    cidr: str = Field(max_length=64, description="A CIDR, or the word `any`.", examples=["203.0.113.0/24"])
    label: str = Field("", max_length=256)


class AllowlistBody(Body):
    """The source addresses of a workspace. Enabled and empty denies all."""

    enabled: bool
    entries: list[AllowlistEntryBody] = Field(default_factory=list)


class PrincipalBody(Body):
    """Who a key acts as."""

    kind: Literal["user", "service"]
    id: Id


class KeyBody(Body):
    """A key to be made."""

    principal: PrincipalBody
    scopes: list[str] = Field(min_length=1, max_length=256, examples=[["pipelines:read", "pipelines:run"]])
    expires_at: Instant | None = None
    not_before: Instant | None = None
    cidrs: list[str] = Field(default_factory=list, max_length=256, examples=[["203.0.113.0/24"]])
    labels: dict[str, str] = Field(default_factory=dict)


class EmptyBody(Body):
    """Nothing, or an empty object."""


class RotateBody(Body):
    """How long the secret that is replaced still works."""

    grace_s: int = Field(0, ge=0, le=MAX_GRACE_S, description="Seconds; never past the key's own end.", examples=[3600])


class BundleBody(Body):
    """Rule files by their path, as in a folder of them."""

    files: dict[str, str] = Field(
        description="Text by relative path with `/`.", examples=[{"chain.yaml": "chain: …", "scopes.yaml": "scopes: …"}]
    )
    note: Note = ""


class ActivateBody(Body):
    """Why a bundle is activated, put in shadow."""

    note: Note = ""


class ShadowBody(Body):
    """Which published bundle is decided beside the active one."""

    digest: str = Field(pattern="^sha256:[0-9a-f]{64}$")
    note: Note = ""


class RevokeBody(Body):
    """Why a key ends."""

    reason: str | None = Field(None, max_length=256, examples=["leaked"])


class WorkspaceBody(Body):
    """A workspace to be made."""

    id: Id = Field(examples=["demo"])
    name: Name = ""
