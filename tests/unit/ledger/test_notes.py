"""Signed notes and their keys: Go's own are read and written alike, and everything else is refused by code."""

from __future__ import annotations

import base64

import pytest
from tlog_scales.signing import NoteSignature, Vkey

from policy_service.ledger.notes import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    FormatError,
    Signer,
    Verifier,
    decode_base64,
    is_key_name,
    open_note,
    parse_note,
    sign_note,
)
from tests.unit.ledger.signing import NEWER, SIGNER, WITNESS

PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
GO_NOTE = f"{TEXT}\n{PETER_LINE}{ENOCH_LINE}"
"""The example of Go's package, and its keys."""

ALTERED = base64.b64encode(bytes.fromhex(SIGNER.verifier.key_id) + bytes(64)).decode()


def code_of(note: str | bytes, *verifiers: Verifier) -> str:
    """The code under which a note is refused."""
    with pytest.raises(FormatError) as raised:
        open_note(note, verifiers)
    assert "\n" not in raised.value.message
    return raised.value.code


def test_the_example_of_go_s_package() -> None:
    """Keys, signatures and spelling are the same there and here."""
    signer, enoch = Signer.parse(PETER_SECRET), Verifier.parse(ENOCH)
    assert str(signer.verifier) == PETER
    assert str(enoch) == ENOCH
    assert signer.secret_text() == PETER_SECRET
    assert sign_note(TEXT, [signer]) == f"{TEXT}\n{PETER_LINE}"
    opened = open_note(GO_NOTE.encode(), [enoch, signer.verifier])
    assert opened.text == TEXT
    assert opened.signed_by == (signer.verifier, enoch)
    assert str(Verifier.parse("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"))


def test_another_library_reads_our_keys_and_signatures() -> None:
    """By its own parser, key ID and Ed25519."""

    class Body:
        """What that library verifies of a checkpoint."""

        def serialize_body(self) -> str:
            return TEXT

    note = sign_note(TEXT, [SIGNER, WITNESS])
    lines = note.removeprefix(f"{TEXT}\n").splitlines()
    for signer, line in zip((SIGNER, WITNESS), lines, strict=True):
        vkey = Vkey.from_string(str(signer.verifier))
        assert vkey.serialize() == str(signer.verifier)
        assert f"{Vkey(vkey.name, None, 1, vkey.pubkey).key_id:08x}" == signer.verifier.key_id
        vkey.get_verifier().verify_note(NoteSignature.from_line(line), Body())


def test_signatures_of_unknown_keys_are_ignored() -> None:
    """Also those that share the name of a known key; but one known key must have signed."""
    note = sign_note(TEXT, [WITNESS, SIGNER, NEWER])
    assert open_note(note, [SIGNER.verifier]).signed_by == (SIGNER.verifier,)
    assert open_note(note, [NEWER.verifier, SIGNER.verifier]).signed_by == (SIGNER.verifier, NEWER.verifier)
    assert code_of(note) == code_of(sign_note(TEXT, [NEWER]), SIGNER.verifier) == "unknown_signer"


def test_a_known_key_that_has_not_signed_spoils_the_note() -> None:
    """Even where another has."""
    note = sign_note(TEXT, [WITNESS]) + f"— {SIGNER.verifier.name} {ALTERED}\n"
    assert open_note(note, [WITNESS.verifier]).text == TEXT
    assert code_of(note, WITNESS.verifier, SIGNER.verifier) == "invalid_signature"


def test_a_known_key_signs_once() -> None:
    """Whoever repeats an unknown signature harms nobody."""
    once = sign_note(TEXT, [SIGNER])
    line = once.removeprefix(f"{TEXT}\n")
    assert code_of(once + line, SIGNER.verifier) == "malformed_note"
    witness = sign_note(TEXT, [WITNESS]).removeprefix(f"{TEXT}\n")
    assert open_note(once + witness * 2, [SIGNER.verifier]).text == TEXT
    with pytest.raises(FormatError, match="twice"):
        sign_note(TEXT, [SIGNER, SIGNER])


@pytest.mark.parametrize("text", ["\n", "a\n\n", "a\n\n\n", "a\n\nb\n", "\n\n", "é — ü\n", "— x y\n", "\x7f\n"])
def test_texts_that_can_be_signed(text: str) -> None:
    """Blank lines and dashes in them are no signatures."""
    assert open_note(sign_note(text, [SIGNER]), [SIGNER.verifier]).text == text


@pytest.mark.parametrize("text", ["", "a", "a\r\n", "a\tb\n", "\x00\n", "\ud800\n", "x" * MAX_NOTE_BYTES + "\n"])
def test_texts_that_cannot(text: str) -> None:
    """They could not be read back."""
    with pytest.raises(FormatError) as raised:
        sign_note(text, [SIGNER])
    assert raised.value.code == "malformed_note"


def test_a_note_needs_a_signer() -> None:
    """A text without signatures is no note."""
    with pytest.raises(FormatError, match="no signature"):
        sign_note(TEXT, [])


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\n",
        b"\n\n",
        TEXT.encode(),
        f"{TEXT}\n".encode(),
        GO_NOTE.encode().removesuffix(b"\n"),
        GO_NOTE.encode() + b"\n",
        GO_NOTE.encode().replace(b"\n", b"\r\n"),
        GO_NOTE.encode() + b"\xff\n",
        GO_NOTE.replace("—", "-").encode(),
        GO_NOTE.replace("— Peter", "—Peter").encode(),
        GO_NOTE.replace("Neumann x08", "Neumann  x08").encode(),
        GO_NOTE.replace("nAM=", "nAN=").encode(),
        GO_NOTE.replace("nAM=", "nAM").encode(),
        GO_NOTE.replace("PeterNeumann x", "Peter+Neumann x").encode(),
        f"{TEXT}\n— PeterNeumann AAAA\n".encode(),
        f"{TEXT}\n— PeterNeumann \n".encode(),
        f"{TEXT}\n—  AAAAAAA=\n".encode(),
        f"{TEXT}\n".encode() + PETER_LINE.encode() * (MAX_SIGNATURES + 1),
        b"x" * MAX_NOTE_BYTES + GO_NOTE.encode(),
    ],
)
def test_what_is_no_note(note: bytes) -> None:
    """Refused by one code, whatever is wrong."""
    assert code_of(note, Verifier.parse(PETER), Verifier.parse(ENOCH)) == "malformed_note"


def test_at_least_sixteen_signatures_are_read() -> None:
    """As the specification asks."""
    signers = [Signer(f"key{number}", bytes([number]) * 32) for number in range(16)]
    note = sign_note(TEXT, signers)
    assert open_note(note, [signer.verifier for signer in signers]).text == TEXT
    assert len(parse_note(note).signatures) == 16


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        PETER + "\n",
        " " + PETER,
        PETER.replace("c74f20a3", "C74F20A3"),
        PETER.replace("c74f20a3", "c74f20a4"),
        PETER.replace("PeterNeumann", "Peter Neumann"),
        PETER.replace("PeterNeumann", ""),
        PETER.replace("PeterNeumann", "PeterNeumanm"),
        PETER.removesuffix("W"),
        PETER.removesuffix("TW") + "T=",
        PETER + "=",
        PETER.replace("+ARpc", "+BBpc"),
        "x" * 2000 + PETER,
        PETER_SECRET,
        "\ud800+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_what_is_no_key(text: str) -> None:
    """Neither a verifier's nor, behind the prefix, a signer's; and the text, which may be secret, is not told."""
    with pytest.raises(FormatError) as raised:
        Verifier.parse(text)
    assert raised.value.code == "malformed_verifier_key"
    for secret in (text, f"PRIVATE+KEY+{text}"):
        if secret == PETER_SECRET:
            continue
        with pytest.raises(FormatError) as raised:
            Signer.parse(secret)
        assert raised.value.code == "malformed_signing_key"
        assert not text or text not in raised.value.message


def test_a_public_key_is_not_taken_for_a_private_one() -> None:
    """Its key ID gives it away."""
    with pytest.raises(FormatError, match="signing key"):
        Signer.parse(f"PRIVATE+KEY+{PETER}")


def test_keys_of_the_wrong_size_and_name() -> None:
    """Bytes as well as text."""
    for name, key in (("a b", bytes(32)), ("", bytes(32)), ("a", bytes(31)), ("a+b", bytes(32))):
        with pytest.raises(FormatError):
            Verifier(name, key)
        with pytest.raises(FormatError):
            Signer(name, key)


def test_a_signer_never_shows_its_key() -> None:
    """Nor does a fresh one equal another."""
    fresh = Signer.generate("x")
    # Base64 has plus signs of its own: only the first four are the form's.
    secret = fresh.secret_text().split("+", 4)[4]
    assert len(secret) > 40
    assert secret not in repr(fresh)
    assert secret not in str(fresh)
    assert fresh.verifier != Signer.generate("x").verifier
    assert fresh.verifier != "x"
    assert str(fresh.verifier) in repr(fresh.verifier)
    assert Signer.parse(fresh.secret_text()).verifier == fresh.verifier


@pytest.mark.parametrize("name", ["", "a b", "a\u00a0b", "a\u2028b", "a+b", "a\nb", "a\x00", "\udc80"])
def test_names_that_no_key_has(name: str) -> None:
    """White space of every kind, plus signs and what is no text."""
    assert not is_key_name(name)


@pytest.mark.parametrize("text", ["AA", "AB==", "A===", "AAAA\n", "AA-_", "é", "AA==AAAA", " AAAA"])
def test_base64_has_one_spelling(text: str) -> None:
    """That of the standard alphabet, padded, its last bits zero."""
    assert decode_base64(text) is None
