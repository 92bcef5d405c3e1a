"""Administration: all nouns in one place, as the API and the commands use them."""

from __future__ import annotations

from policy_service.service.administration.allowlist import AllowlistAdministration
from policy_service.service.administration.bindings import BindingAdministration
from policy_service.service.administration.changes import ChangeReading
from policy_service.service.administration.key_import import KeyImport
from policy_service.service.administration.members import MemberAdministration
from policy_service.service.administration.resources import ResourceAdministration
from policy_service.service.administration.service_principals import ServicePrincipalAdministration
from policy_service.service.administration.teams import TeamAdministration
from policy_service.service.administration.users import UserAdministration
from policy_service.service.administration.workspaces import WorkspaceAdministration


class Administration(
    WorkspaceAdministration,
    UserAdministration,
    ServicePrincipalAdministration,
    TeamAdministration,
    MemberAdministration,
    ResourceAdministration,
    BindingAdministration,
    AllowlistAdministration,
    KeyImport,
    ChangeReading,
):
    """Every administrative use case. Callers come from the Gate; whether their scope suffices was judged there.

    Each write raises RequestError (4xx, nothing changed) or StoreError (503, nothing changed); each returns Written.
    Each takes the workspace it is about; a caller that does not cover it gets 403 `workspace_mismatch`.
    """
