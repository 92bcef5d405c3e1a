"""Everything the API and the commands work with, in one frozen bundle. Bootstrap builds it; nothing else does."""

from __future__ import annotations

import msgspec

from policy_service.service.administration import Administration
from policy_service.service.bundles import Bundles
from policy_service.service.callers import Gate
from policy_service.service.credentials import Credentials
from policy_service.service.decision_log import DecisionLog
from policy_service.service.decisions import Decisions
from policy_service.service.folder_watch import FolderWatch
from policy_service.service.follower import Follower
from policy_service.service.key_uses import KeyUses
from policy_service.service.peppers import Peppers
from policy_service.service.ports import CheckpointState, Clock, FactStore
from policy_service.service.recorder import Recorder
from policy_service.service.replica import Replica
from policy_service.service.shadow import Shadow


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The use cases and what they stand on.

    `follower` must be made on, and belongs to, one event loop; `replica` is that loop's too. `watch` is there
    where rule files are served from a folder, `shadow` where decisions are compared with a candidate's. `recorder` is
    not where decisions leave no record (durability `off`), `checkpoints` not where none are signed.
    """

    store: FactStore
    clock: Clock
    bundles: Bundles
    replica: Replica
    follower: Follower
    credentials: Credentials
    gate: Gate
    decisions: Decisions
    administration: Administration
    decision_log: DecisionLog
    watch: FolderWatch | None = None
    shadow: Shadow | None = None
    recorder: Recorder | None = None
    checkpoints: CheckpointState | None = None
    uses: KeyUses
    peppers: Peppers
