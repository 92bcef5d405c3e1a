"""Proofs that leave the house: verified from text and key alone, by us and by another library."""

from __future__ import annotations

import base64

import pytest
from tlog_scales.tlog import InclusionProof

from policy_service.ledger.checkpoint import sign_checkpoint
from policy_service.ledger.merkle import leaf_hash
from policy_service.ledger.notes import FormatError, sign_note
from policy_service.ledger.proof import MAX_EXTRA_BYTES, make_proof, parse_proof, proof_text, verify_proof
from tests.unit.ledger.signing import LEAVES, LINES, NEWER, SIGNER, WITNESS, a_checkpoint

NOTE = sign_checkpoint(a_checkpoint(9), [SIGNER, NEWER])
KEYS = [NEWER.verifier]


def code_of(text: str | bytes, line: bytes | None = None) -> str:
    """The code under which a proof is refused."""
    with pytest.raises(FormatError) as raised:
        verify_proof(text, KEYS, line)
    assert "\n" not in raised.value.message
    return raised.value.code


def test_every_record_under_a_checkpoint_is_proven() -> None:
    """With its line inside the proof or beside it; and read back, the proof is the same."""
    for index in range(9):
        for extra in (None, LINES[index]):
            made = make_proof(LEAVES, index, NOTE, extra)
            text = proof_text(made)
            assert parse_proof(text) == parse_proof(text.encode()) == made
            assert text.endswith(NOTE)
            proven = verify_proof(text, KEYS, LINES[index] if extra is None else None)
            assert (proven.line, proven.index, proven.checkpoint) == (LINES[index], index, a_checkpoint(9))


def test_the_lines_of_a_proof() -> None:
    """In the order of the specification."""
    made = make_proof(LEAVES, 8, NOTE, b"{}")
    node = base64.b64encode(made.path[0]).decode()
    assert proof_text(made) == f"c2sp.org/tlog-proof@v1\nextra e30=\nindex 8\n{node}\n\n{NOTE}"
    alone = sign_checkpoint(a_checkpoint(1), [SIGNER])
    assert proof_text(make_proof(LEAVES, 0, alone)) == f"c2sp.org/tlog-proof@v1\nindex 0\n\n{alone}"
    assert verify_proof(proof_text(make_proof(LEAVES, 0, alone)), [SIGNER.verifier], LINES[0]).index == 0


def test_another_library_accepts_the_path() -> None:
    """Read off the text by nothing of ours."""
    head, _, note = proof_text(make_proof(LEAVES, 5, NOTE)).partition("\n\n")
    _, index, *nodes = head.split("\n")
    origin, size, root, *_ = note.split("\n")
    proof = InclusionProof(int(index.split(" ")[1]), int(size), [base64.b64decode(node) for node in nodes])
    proof.check(leaf_hash(LINES[5]), base64.b64decode(root))
    assert origin == a_checkpoint().origin


def test_a_proof_is_about_one_record() -> None:
    """Another line, another place, another path or no line at all proves nothing."""
    text = proof_text(make_proof(LEAVES, 4, NOTE))
    assert code_of(text) == "missing_record"
    assert code_of(text, LINES[5]) == code_of(text, LINES[4] + b"\n") == "not_included"
    assert code_of(text.replace("index 4", "index 5"), LINES[4]) == "not_included"
    assert code_of(text.replace("index 4", "index 9"), LINES[4]) == "not_included"
    lines = text.split("\n")
    assert code_of("\n".join([*lines[:2], *lines[3:]]), LINES[4]) == "not_included"
    lied = proof_text(make_proof(LEAVES, 4, NOTE, LINES[5]))
    assert code_of(lied) == "not_included"
    assert verify_proof(lied, KEYS, LINES[4]).line == LINES[4]


def test_a_proof_needs_a_checkpoint_of_the_log() -> None:
    """Signed by its key."""
    text = proof_text(make_proof(LEAVES, 4, NOTE, LINES[4]))
    assert code_of(text.replace("change-chain 7", "change-chain 8")) == "invalid_signature"
    with pytest.raises(FormatError) as raised:
        verify_proof(text, [WITNESS.verifier])
    assert raised.value.code == "unknown_signer"
    with pytest.raises(FormatError) as raised:
        make_proof(LEAVES, 0, sign_note("x\n", [SIGNER]))
    assert raised.value.code == "malformed_checkpoint"


def test_no_proof_is_made_of_what_the_checkpoint_does_not_reach() -> None:
    """A record after it, or leaf hashes that end before it."""
    with pytest.raises(ValueError, match="no leaf 9"):
        make_proof(LEAVES, 9, NOTE)
    with pytest.raises(ValueError, match="no tree of 9"):
        make_proof(LEAVES[: 8 * 32], 4, NOTE)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("@v1", "@v2", "malformed_proof"),
        ("c2sp", "\nc2sp", "malformed_proof"),
        ("extra ", "extra", "malformed_proof"),
        ("extra ", "extra !", "malformed_proof"),
        ("extra ", f"extra {'AAAA' * (MAX_EXTRA_BYTES // 3 + 1)}", "malformed_proof"),
        ("extra ", "A" * 5_000_000, "malformed_proof"),
        ("index 4", "index 04", "malformed_proof"),
        ("index 4", "index -4", "malformed_proof"),
        ("index 4", f"index {'9' * 20}", "malformed_proof"),
        ("index 4\n", "", "malformed_proof"),
        ("index 4\n", f"index 4\n{'A' * 43}=\n" * 70, "malformed_proof"),
        ("index 4\n", f"index 4\n{(('A' * 43) + '=' + chr(10)) * 65}", "malformed_proof"),
        ("index 4\n", "index 4\nAAAA\n", "malformed_proof"),
        ("index 4\n", "index 4\r\n", "malformed_proof"),
        ("\n\n", "\n", "malformed_proof"),
        ("— ", "- ", "malformed_note"),
    ],
)
def test_what_is_no_proof(old: str, new: str, code: str) -> None:
    """Refused by code, at any size."""
    text = proof_text(make_proof(LEAVES, 4, NOTE, LINES[4])).replace(old, new)
    assert code_of(text) == code


def test_bytes_that_are_no_text() -> None:
    """Nor is nothing."""
    assert code_of(b"\xff\xfe") == code_of(b"") == code_of("c2sp.org/tlog-proof@v1\n\n") == "malformed_proof"
    assert code_of(proof_text(make_proof(LEAVES, 4, NOTE)) + "\ud800") == "malformed_note"
