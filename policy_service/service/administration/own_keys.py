"""What a caller with `keys:own` alone may do: look after the keys of its own user, and grant no more than it has.

Permission is judged before existence: a refusal is the same whether what was named is there or not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy_service.engine.intervals import Intervals
from policy_service.language.policy import Policy
from policy_service.model.address import Network, parse_network
from policy_service.model.errors import RequestError
from policy_service.model.facts import ApiKey, PrincipalKind
from policy_service.model.instants import format_rfc3339
from policy_service.model.names import KEYS_OWN
from policy_service.service.access import effective_scopes, may_use
from policy_service.service.caller import Caller
from policy_service.service.checks import shown
from policy_service.service.ports import FactReader


def own_only(caller: Caller) -> bool:
    """Whether the caller may look after its own keys and no others."""
    return caller.scope == KEYS_OWN


def refuse_others(caller: Caller, workspace: str, principal: tuple[str, str] | None) -> None:
    """Refuse a caller with `keys:own` alone what is not its own user's; None: what is nobody's.

    Raises:
        RequestError: 403 `own_keys_only`.
    """
    if not own_only(caller):
        return
    own = (caller.principal_kind, caller.principal_id)
    if own[0] != "user" or workspace != caller.workspace or principal != own:
        raise RequestError(
            "own_keys_only",
            f"`{KEYS_OWN}` lets a user look after the user's own keys and no others; "
            "an administrator of the workspace may look after all",
            status=403,
        )


def own_principal(caller: Caller, workspace: str) -> tuple[PrincipalKind, str]:
    """The user that a caller with `keys:own` alone looks after. Raises RequestError 403 `own_keys_only`."""
    own: tuple[PrincipalKind, str] = ("user", caller.principal_id or "")
    refuse_others(caller, workspace, own)
    return own


def refuse_beyond(reader: FactReader, policy: Callable[[], Policy | None], caller: Caller, wanted: ApiKey) -> None:
    """Refuse a caller with `keys:own` alone a key that reaches further than the one it presents.

    INVARIANT: no sequence of calls yields a key that could do what none of the caller's could (tests/property:
    test_grants).

    Args:
        wanted: the key to be issued, or to be given a new secret.

    Raises:
        RequestError: 403 `exceeds_own_key`.
    """
    if not own_only(caller):
        return
    granter = reader.get(ApiKey, (caller.key_id or "",))
    held: frozenset[str] = frozenset()
    if granter is not None and may_use(reader, policy(), granter.id, KEYS_OWN):
        held = effective_scopes(reader, policy(), granter)
    beyond = sorted(set(wanted.scopes) - held)
    if granter is None or beyond:
        raise _beyond(f"it does not have {', '.join(map(shown, beyond))} itself, now and over the whole workspace")
    end = _end(granter, caller.slot)
    if end is not None and (wanted.expires_at is None or wanted.expires_at > end):
        raise _beyond(f"`expires_at` must be {format_rfc3339(end)} or earlier, when it ends itself")
    if not _within(wanted.cidrs, granter.cidrs):
        raise _beyond(f"`cidrs` must lie within its own: {', '.join(f'`{cidr}`' for cidr in granter.cidrs)}")


def _end(granter: ApiKey, slot_number: int | None) -> int | None:
    """When the presented secret ends: with its key, or with its own grace. None: never."""
    ends = [slot.expires_at for slot in granter.slots if slot.number == slot_number] + [granter.expires_at]
    return min((end for end in ends if end is not None), default=None)


def _within(wanted: tuple[str, ...], own: tuple[str, ...]) -> bool:
    """Whether all addresses of `wanted` are among those of `own`. No CIDRs at all: every address."""
    if not own:
        return True
    reach = Intervals.of_cidrs(own)
    networks: list[Any] = [parse_network(cidr) for cidr in wanted]
    return bool(networks) and all(isinstance(one, Network) and reach.covers(one) for one in networks)


def _beyond(told: str) -> RequestError:
    return RequestError("exceeds_own_key", f"a key cannot hand out more than it has: {told}", status=403)
