"""Signed texts that leave the machine: read back as they were, and with any byte altered worth nothing."""

from __future__ import annotations

import contextlib

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from policy_service.ledger.checkpoint import (
    Checkpoint,
    checkpoint_text,
    contradiction,
    inconsistency,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from policy_service.ledger.merkle import leaf_hashes, subtree_root
from policy_service.ledger.notes import (
    FormatError,
    Signer,
    Verifier,
    decode_base64,
    encode_base64,
    is_key_name,
    open_note,
    parse_note,
    sign_note,
)
from policy_service.ledger.proof import make_proof, parse_proof, proof_text, verify_proof

characters = st.characters(exclude_categories=("Cs",), exclude_characters=[chr(code) for code in range(32)])
names = st.text(characters, min_size=1, max_size=12).filter(is_key_name)
seeds = st.binary(min_size=32, max_size=32)
signers = st.builds(Signer, names, seeds)
texts = st.text(characters | st.just("\n"), max_size=60).map(lambda text: text + "\n")
numbers = st.integers(0, (1 << 63) - 1)
hashes = st.binary(min_size=32, max_size=32)
digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
shards = st.builds("20260601T{:06d}-{}".format, st.integers(0, 235959), st.text(digits, min_size=8, max_size=8))
records = st.lists(st.binary(max_size=12), min_size=1, max_size=40)


@st.composite
def checkpoints(draw: st.DrawFn, name: str = "log.example", root: bytes | None = None, size: int | None = None):
    """Any checkpoint that can be written down."""
    open_shards = sorted(draw(st.sets(shards, max_size=4)))
    return Checkpoint(
        name=name,
        shard=draw(shards),
        size=draw(numbers) if size is None else size,
        root=draw(hashes) if root is None else root,
        time=draw(numbers),
        revision=draw(numbers),
        chain=draw(hashes).hex(),
        shard_count=draw(st.integers(len(open_shards), 1 << 60)),
        shards_digest=draw(hashes).hex(),
        open_shards=tuple(open_shards),
    )


def altered(data: st.DataObject, content: bytes) -> bytes:
    """One byte another, gone, doubled, or two of them swapped."""
    at = data.draw(st.integers(0, len(content) - 1))
    byte = content[at : at + 1]
    there = data.draw(
        st.one_of(
            st.binary(min_size=1, max_size=1),
            st.just(b""),
            st.just(byte * 2),
            st.just(content[at : at + 2][::-1]),
        )
    )
    end = at + 2 if len(there) == 2 and there != byte * 2 else at + 1
    return content[:at] + there + content[end:]


@given(names, seeds)
def test_keys_are_read_back(name: str, seed: bytes) -> None:
    """The private one and the public one, each in one spelling."""
    signer = Signer(name, seed)
    assert Signer.parse(signer.secret_text()).secret_text() == signer.secret_text()
    assert Verifier.parse(str(signer.verifier)) == signer.verifier


@given(signers, st.data())
def test_an_altered_key_is_refused(signer: Signer, data: st.DataObject) -> None:
    """Its key ID covers name and key, but only with 32 bits; what is read is never the same key in other words."""
    text = str(signer.verifier)
    other = altered(data, text.encode()).decode("utf-8", "replace")
    with contextlib.suppress(FormatError):
        assert str(Verifier.parse(other)) == other


@given(texts, st.lists(signers, min_size=1, max_size=4, unique_by=lambda signer: signer.verifier))
def test_a_note_is_read_back(text: str, keys: list[Signer]) -> None:
    """Its text whatever it says, and all who signed, in order."""
    opened = open_note(sign_note(text, keys).encode(), [signer.verifier for signer in keys])
    assert opened.text == text
    assert opened.signed_by == tuple(signer.verifier for signer in keys)


@given(texts, signers, st.data())
def test_an_altered_note_is_refused(text: str, signer: Signer, data: st.DataObject) -> None:
    """Any byte of the text, the name, the key ID or the signature."""
    note = sign_note(text, [signer]).encode()
    other = altered(data, note)
    try:
        opened = open_note(other, [signer.verifier])
    except FormatError:
        return
    assert other == note
    assert opened.text == text


@given(texts, st.lists(signers, min_size=2, max_size=3, unique_by=lambda signer: signer.verifier), st.data())
def test_a_note_of_many_says_what_was_signed_or_nothing(text: str, keys: list[Signer], data: st.DataObject) -> None:
    """Altered, a signature may become one of an unknown key; never does the text become another."""
    known = [signer.verifier for signer in keys]
    with contextlib.suppress(FormatError):
        opened = open_note(altered(data, sign_note(text, keys).encode()), known)
        assert opened.text == text
        assert set(opened.signed_by) <= set(known)


@given(st.binary(max_size=200) | texts.map(str.encode))
def test_no_bytes_at_all_crash_a_reader(content: bytes) -> None:
    """Each is refused by code, or read."""
    text = content.decode("utf-8", "surrogateescape")
    for read in (parse_note, parse_proof, Verifier.parse, Signer.parse, parse_checkpoint):
        with contextlib.suppress(FormatError):
            read(text)
    for read in (parse_note, parse_proof):
        with contextlib.suppress(FormatError):
            read(content)


@given(st.binary(max_size=40), st.data())
def test_base64_has_one_spelling(content: bytes, data: st.DataObject) -> None:
    """No two texts are read as the same bytes."""
    text = encode_base64(content)
    assert decode_base64(text) == content
    if text:
        other = altered(data, text.encode()).decode("utf-8", "replace")
        assert other == text or decode_base64(other) != content


@given(checkpoints())
def test_a_checkpoint_is_read_back(checkpoint: Checkpoint) -> None:
    """And it is consistent with itself."""
    assert parse_checkpoint(checkpoint_text(checkpoint)) == checkpoint
    assert contradiction(checkpoint, checkpoint) is None


@given(checkpoints(), st.data())
def test_a_checkpoint_has_one_text(checkpoint: Checkpoint, data: st.DataObject) -> None:
    """What reads as a checkpoint is what that checkpoint writes."""
    other = altered(data, checkpoint_text(checkpoint).encode()).decode("utf-8", "replace")
    with contextlib.suppress(FormatError):
        assert checkpoint_text(parse_checkpoint(other)) == other


@given(records, checkpoints(), checkpoints(), st.data())
def test_checkpoints_of_a_growing_log_are_consistent_and_of_an_altered_one_not(
    lines: list[bytes], first: Checkpoint, second: Checkpoint, data: st.DataObject
) -> None:
    """Whatever else they say that can both be true."""
    old = data.draw(st.integers(1, len(lines)))
    at = data.draw(st.integers(0, old - 1))
    honest = b"".join(leaf_hashes(lines))
    forged = b"".join(leaf_hashes([*lines[:at], lines[at] + b"!", *lines[at + 1 :]]))
    older = _at(first, honest, old)
    assert inconsistency(older, _at(first, honest, len(lines)), honest) is None
    found = inconsistency(older, _at(first, forged, len(lines)), forged)
    assert found is not None
    assert found.code == "records_altered"
    other = _at(second, honest, len(lines))
    assert (inconsistency(older, other, honest) is None) == (contradiction(older, other) is None)


def _at(checkpoint: Checkpoint, leaves: bytes, size: int) -> Checkpoint:
    return msgspec.structs.replace(checkpoint, size=size, root=subtree_root(leaves, 0, size))


@given(records, st.data())
def test_a_proof_verifies_from_its_text_alone_and_altered_does_not(lines: list[bytes], data: st.DataObject) -> None:
    """Any byte of it; a byte of the line that travels in it is one too."""
    signer = Signer("log.example", bytes(32))
    leaves = b"".join(leaf_hashes(lines))
    size = data.draw(st.integers(1, len(lines)))
    index = data.draw(st.integers(0, size - 1))
    checkpoint = data.draw(checkpoints(root=subtree_root(leaves, 0, size), size=size))
    note = sign_checkpoint(checkpoint, [signer])
    assert open_checkpoint(note, [signer.verifier]) == checkpoint
    text = proof_text(make_proof(leaves, index, note, lines[index]))
    proven = verify_proof(text, [signer.verifier])
    assert (proven.line, proven.index, proven.checkpoint) == (lines[index], index, checkpoint)
    other = altered(data, text.encode())
    with contextlib.suppress(FormatError):
        proven = verify_proof(other, [signer.verifier])
        # The same line may stand in the log twice; then both places are proven, each by its own proof.
        assert other == text.encode() or lines[proven.index] == proven.line
        assert proof_text(parse_proof(other)).encode() == other
