"""New ids and secrets from the operating system's randomness, behind the IdSource port."""

from __future__ import annotations

import secrets

from policy_service.model.api_key import ALPHABET, ID_LENGTH, SECRET_LENGTH


def _base62(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


class RandomIds:
    """Base62 text of uniformly random characters; 5.95 bits each."""

    def decision_id(self) -> str:
        """22 characters: 130 bits."""
        return _base62(22)

    def key_id(self) -> str:
        """12 characters: 71 bits; a collision is refused when the key is made."""
        return _base62(ID_LENGTH)

    def secret(self) -> str:
        """22 characters: 130 bits."""
        return _base62(SECRET_LENGTH)

    def binding_id(self) -> str:
        """12 characters: 71 bits."""
        return _base62(12)
