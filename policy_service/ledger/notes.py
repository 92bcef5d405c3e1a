"""Signed notes: a text and below it the signatures of one or more Ed25519 keys, each under its name.

Keys are spelled as Go's `sumdb/note` spells them, so that its tools and those of the transparency logs can use them:
`<name>+<key ID>+<base64>` for a verifier, the same behind `PRIVATE+KEY+` for a signer.

Reading is strict: what is accepted has exactly one spelling.

INVARIANT: a note with any byte altered is refused, or the altered signature is not among those that count
(test_ledger_notes: altered notes).

Source: C2SP signed-note, https://c2sp.org/signed-note; RFC 8032 (Ed25519); decision page 8.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from policy_service.model.errors import PolicyServiceError

MAX_NOTE_BYTES: Final = 1_000_000
MAX_SIGNATURES: Final = 100
"""Of a note that is read, as in Go's reader; the specification asks for 16 at least."""
MAX_KEY_CHARS: Final = 1024

_ED25519: Final = b"\x01"
_SECRET: Final = "PRIVATE+KEY+"  # noqa: S105 - what a secret begins with, and no more
_SIGNATURE: Final = "— "
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")


class FormatError(PolicyServiceError):
    """A text in one of the ledger's open formats is not what it must be.

    | code | when |
    |---|---|
    | `malformed_note`, `malformed_checkpoint`, `malformed_proof` | it is not in that format, or too large |
    | `malformed_verifier_key`, `malformed_signing_key` | the same of a key |
    | `unknown_signer` | none of the known keys has signed it |
    | `invalid_signature` | one of the known keys is said to have signed it, and has not |
    | `foreign_checkpoint` | it is signed, but not by the log that it names |
    | `missing_record`, `not_included` | a proof without the record it is about; a proof that proves nothing about it |
    """


class Verifier:
    """The public half of a key, under its name.

    Args:
        public: of Ed25519, 32 bytes.

    Raises:
        FormatError: `malformed_verifier_key`.
    """

    def __init__(self, name: str, public: bytes) -> None:
        if not is_key_name(name) or len(public) != 32:
            raise _malformed_key("verifier")
        self.name = name
        self.public = public
        self.key_id = sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4].hex()
        """Eight hexadecimal digits. With the name they tell keys apart; alone they prove nothing."""
        self._key = Ed25519PublicKey.from_public_bytes(public)

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """Read `<name>+<key ID>+<base64>`.

        Raises:
            FormatError: `malformed_verifier_key`.
        """
        name, key_id, public = _parse_key(text, "verifier")
        verifier = cls(name, public)
        if verifier.key_id != key_id:
            raise _malformed_key("verifier")
        return verifier

    def has_signed(self, text: bytes, signature: bytes) -> bool:
        """Whether this is the key's signature of that text."""
        try:
            self._key.verify(signature, text)
        except InvalidSignature:
            return False
        return True

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id}+{encode_base64(_ED25519 + self.public)}"

    def __repr__(self) -> str:
        return f"Verifier({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Verifier) and (self.name, self.public) == (other.name, other.public)

    def __hash__(self) -> int:
        return hash((self.name, self.public))


class Signer:
    """A private key under its name. It is shown by `secret_text` alone.

    Args:
        seed: the private key of RFC 8032, 32 bytes.

    Raises:
        FormatError: `malformed_signing_key`.
    """

    def __init__(self, name: str, seed: bytes) -> None:
        if not is_key_name(name) or len(seed) != 32:
            raise _malformed_key("signing")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> Signer:
        """A fresh key. Raises as the constructor does."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> Signer:
        """Read `PRIVATE+KEY+<name>+<key ID>+<base64>`.

        Raises:
            FormatError: `malformed_signing_key`; the text is not in the message.
        """
        if not text.startswith(_SECRET):
            raise _malformed_key("signing")
        name, key_id, seed = _parse_key(text.removeprefix(_SECRET), "signing")
        signer = cls(name, seed)
        if signer.verifier.key_id != key_id:
            raise _malformed_key("signing")
        return signer

    def sign(self, text: bytes) -> bytes:
        """The signature of a text: 64 bytes, always the same. Cost: about 30 µs."""
        return self._key.sign(text)

    def secret_text(self) -> str:
        """The key itself: for its file, and for nothing else."""
        verifier = self.verifier
        return f"{_SECRET}{verifier.name}+{verifier.key_id}+{encode_base64(_ED25519 + self._key.private_bytes_raw())}"

    def __repr__(self) -> str:
        return f"Signer(name={self.verifier.name!r}, key_id={self.verifier.key_id!r})"


class Signature(msgspec.Struct, frozen=True):
    """One signature line. Nothing is known of it until a verifier of that name and key ID has looked."""

    name: str
    key_id: str
    signature: bytes


class Note(msgspec.Struct, frozen=True):
    """A note as it was read, not verified. The text ends in a line feed."""

    text: str
    signatures: tuple[Signature, ...]


class OpenedNote(msgspec.Struct, frozen=True):
    """A text, and the known keys that did sign it, in the note's order: at least one."""

    text: str
    signed_by: tuple[Verifier, ...]


def sign_note(text: str, signers: Iterable[Signer]) -> str:
    """The note: the text, signed by each of the signers.

    Raises:
        FormatError: `malformed_note`: the text does not end in a line feed, or holds other control characters; there
            is no signer, or one twice.
    """
    lines = [_signature_line(signer, _signable(text)) for signer in signers]
    note = "".join([text, "\n", *lines])
    if len(set(lines)) != len(lines) or len(note.encode()) > MAX_NOTE_BYTES or parse_note(note).text != text:
        raise _malformed("it is too large, or signed twice by one key")
    return note


def parse_note(note: str | bytes) -> Note:
    """Read a note without verifying it.

    Raises:
        FormatError: `malformed_note`.
    """
    whole = _checked_text(note)
    text, blank, signed = whole.rpartition("\n\n")
    if not blank or not signed.endswith("\n"):
        raise _malformed("no signatures below a blank line")
    lines = signed[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise _malformed(f"more than {MAX_SIGNATURES} signatures")
    return Note(text + "\n", tuple(_parse_signature(line) for line in lines))


def open_note(note: str | bytes, verifiers: Iterable[Verifier]) -> OpenedNote:
    """The text of a note that at least one known key has signed. Signatures of unknown keys are ignored.

    Raises:
        FormatError: `malformed_note`, also for two signatures of one known key; `unknown_signer`; `invalid_signature`.
    """
    read = parse_note(note)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    text, signed_by = read.text.encode(), []
    for signature in read.signatures:
        verifier = known.get((signature.name, signature.key_id))
        if verifier is None:
            continue
        if verifier in signed_by:
            raise _malformed(f"two signatures of `{verifier.name}+{verifier.key_id}`")
        if not verifier.has_signed(text, signature.signature):
            raise FormatError(
                "invalid_signature", f"`{verifier.name}+{verifier.key_id}` has not signed this: it was altered"
            )
        signed_by.append(verifier)
    if not signed_by:
        raise FormatError("unknown_signer", "none of the known keys has signed this; check which verifier key is used")
    return OpenedNote(read.text, tuple(signed_by))


def is_key_name(name: str) -> bool:
    """Whether it can name a key: not empty, no white space, no plus sign, nothing that has no place in a note."""
    return bool(name) and not any(c.isspace() or c == "+" or "\ud800" <= c <= "\udfff" or c < " " for c in name)


def decode_base64(text: str) -> bytes | None:
    """Standard Base 64 with padding (RFC 4648, section 4), in its only spelling; None for anything else."""
    try:
        decoded = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    return decoded if encode_base64(decoded) == text else None


def encode_base64(content: bytes) -> str:
    """Standard Base 64 with padding, without line breaks."""
    return base64.b64encode(content).decode("ascii")


def _signable(text: str) -> bytes:
    if not text.endswith("\n"):
        raise _malformed("its text must end in a line feed")
    return _checked_text(text).encode()


def _checked_text(note: str | bytes) -> str:
    """The note as text: bounded, UTF-8, without control characters other than the line feed."""
    try:
        content = note if isinstance(note, bytes) else note.encode()
        text = content.decode()
    except UnicodeError:
        raise _malformed("not UTF-8") from None
    if len(content) > MAX_NOTE_BYTES:
        raise _malformed(f"more than {MAX_NOTE_BYTES} bytes")
    if _CONTROL.search(text):
        raise _malformed("control characters")
    return text


def _signature_line(signer: Signer, text: bytes) -> str:
    verifier = signer.verifier
    return f"{_SIGNATURE}{verifier.name} {encode_base64(bytes.fromhex(verifier.key_id) + signer.sign(text))}\n"


def _parse_signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_SIGNATURE).partition(" ")
    content = decode_base64(encoded)
    if not line.startswith(_SIGNATURE) or not is_key_name(name) or content is None or len(content) < 5:
        raise _malformed("a line below the blank line is no signature")
    return Signature(name, content[:4].hex(), content[4:])


def _parse_key(text: str, kind: str) -> tuple[str, str, bytes]:
    """Name, key ID and the 32 bytes of an Ed25519 key."""
    name, *rest = text.split("+", 2) if len(text) <= MAX_KEY_CHARS else ("",)
    if len(rest) != 2 or not is_key_name(name) or not _KEY_ID.fullmatch(rest[0]):
        raise _malformed_key(kind)
    content = decode_base64(rest[1])
    if content is None or content[:1] != _ED25519 or len(content) != 33:
        raise _malformed_key(kind)
    return name, rest[0], content[1:]


def _malformed(reason: str) -> FormatError:
    return FormatError("malformed_note", f"not a signed note: {reason}")


def _malformed_key(kind: str) -> FormatError:
    # Never with the text: it may be the secret.
    return FormatError(f"malformed_{kind}_key", f"not an Ed25519 {kind} key as signed notes spell it")
