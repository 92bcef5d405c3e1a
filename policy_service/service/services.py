"""Everything the API and the commands work with, in one frozen bundle. Bootstrap builds it; nothing else does."""

from __future__ import annotations

import msgspec

from policy_service.service.administration import Administration
from policy_service.service.auditing.decision_log import DecisionLog
from policy_service.service.deciding.credentials import Credentials
from policy_service.service.deciding.decisions import Decisions
from policy_service.service.deciding.gate import Gate
from policy_service.service.deciding.key_uses import KeyUses
from policy_service.service.deciding.shadow import Shadow
from policy_service.service.following.crew import Member
from policy_service.service.following.follower import Follower
from policy_service.service.following.replica import Replica
from policy_service.service.following.snapshot_keeping import SnapshotKeeper
from policy_service.service.peppers import Peppers
from policy_service.service.policies.bundles import Bundles
from policy_service.service.policies.folder_watch import FolderWatch
from policy_service.service.ports import CheckpointState, Clock, FactStore
from policy_service.service.recording.recorder import Recorder


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The use cases and what they stand on.

    `follower` must be made on, and belongs to, one event loop; `replica` is that loop's too. `watch` is there
    where rule files are served from a folder, `shadow` where decisions are compared with a candidate's. `recorder` is
    not where decisions leave no record (durability `off`), `checkpoints` not where none are signed, `snapshots` not
    where every start reads all changes. `member` is
    this process's place among the workers, where there are several.
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
    member: Member | None = None
    uses: KeyUses
    peppers: Peppers
    snapshots: SnapshotKeeper | None = None
