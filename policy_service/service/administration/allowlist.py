"""The workspace's IP allowlist."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from policy_service.model.address import parse_network
from policy_service.model.errors import RequestError
from policy_service.model.facts import AllowlistEntry, IpAllowlist
from policy_service.service.administration.desk import Desk, existing_workspace
from policy_service.service.caller import Caller
from policy_service.service.checks import check_text, shown
from policy_service.service.effects import draft, put, same
from policy_service.service.ports import FactReader
from policy_service.service.results import Found, Planned, Written

MAX_ENTRIES = 1000


class AllowlistAdministration(Desk):
    """Show and replace the allowlist. It guards decisions, never access to this service itself."""

    def put_allowlist(
        self, caller: Caller, workspace: str, *, enabled: bool, entries: Sequence[AllowlistEntry] = ()
    ) -> Written[IpAllowlist]:
        """Replace the allowlist. Enabled and empty denies every address; disabled keeps its entries.

        Raises:
            RequestError: 400 `invalid_cidr`, `duplicate_cidr`, `too_many_entries`, `invalid_text` (a label); 404
                `not_found` (the workspace).
        """
        self._enter(caller, workspace)
        if len(entries) > MAX_ENTRIES:
            raise RequestError("too_many_entries", f"an allowlist holds at most {MAX_ENTRIES} entries")
        cidrs = canonical_cidrs([entry.cidr for entry in entries], "entries")
        after = IpAllowlist(
            workspace=workspace,
            enabled=enabled,
            entries=tuple(
                AllowlistEntry(cidr=cidr, label=check_text("`label`", entry.label))
                for cidr, entry in zip(cidrs, entries, strict=True)
            ),
        )

        def plan(reader: FactReader) -> Planned[IpAllowlist]:
            existing_workspace(reader, workspace)
            before = reader.get(IpAllowlist, after.key())
            if same(before, after):
                return Planned(draft=None, fact=after)
            change = draft("put", after, [put(after, before)], workspace=workspace)
            return Planned(draft=change, fact=after, created=before is None)

        return self._write(caller, self._clock.now(), plan)

    def get_allowlist(self, caller: Caller, workspace: str) -> Found[IpAllowlist]:
        """The allowlist; one that is off and empty where none was ever put. Raises 404 `not_found` (the workspace)."""
        self._enter(caller, workspace)
        revision = self._store.head()

        def query(reader: FactReader) -> IpAllowlist:
            existing_workspace(reader, workspace)
            return reader.get(IpAllowlist, (workspace,)) or IpAllowlist(workspace=workspace)

        return Found(fact=self._store.read(query), revision=revision)


def canonical_cidrs(texts: Iterable[str], where: str) -> tuple[str, ...]:
    """The canonical spelling of CIDRs (or `any`), in their order.

    Raises:
        RequestError: 400 `invalid_cidr`; 400 `duplicate_cidr`, two are the same network. Details: `index`.
    """
    seen: dict[str, None] = {}
    for index, text in enumerate(texts):
        network = parse_network(text) if len(text) <= 64 and text.isprintable() else f"{shown(text)} is not a CIDR"
        if isinstance(network, str):
            raise RequestError("invalid_cidr", f"`{where}[{index}]`: {network}", {"index": index})
        if network.text in seen:
            raise RequestError(
                "duplicate_cidr", f"`{where}[{index}]`: `{network.text}` is listed twice; remove one", {"index": index}
            )
        seen[network.text] = None
    return tuple(seen)
