"""Administration: every write of the facts, by noun. Each plans its change under the store's lock."""

from policy_service.service.administration.administration import Administration
from policy_service.service.administration.key_import import HashedSecret, KeyToImport, Minted
from policy_service.service.administration.key_state import SeenKey
from policy_service.service.administration.keys import IssuedKey, NewKey
from policy_service.service.results import Found, Page, Written

__all__ = [
    "Administration",
    "Found",
    "HashedSecret",
    "IssuedKey",
    "KeyToImport",
    "Minted",
    "NewKey",
    "Page",
    "SeenKey",
    "Written",
]
