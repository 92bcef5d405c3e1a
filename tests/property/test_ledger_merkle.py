"""The tree is the RFC's: held against its recursive definition, written here once more and sharing nothing with it."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.ledger.merkle import (
    BLOCK,
    EMPTY_ROOT,
    LeafHashes,
    Tree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    leaf_hashes,
    subtree_root,
    verify_consistency,
    verify_inclusion,
)

entries = st.lists(st.binary(max_size=8), max_size=80)
some_entries = st.lists(st.binary(max_size=8), min_size=1, max_size=80)


def split(n: int) -> int:
    """The largest power of two smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(d: list[bytes]) -> bytes:
    """RFC 6962, section 2.1: the Merkle Tree Hash."""
    if not d:
        return sha256(b"").digest()
    if len(d) == 1:
        return sha256(b"\x00" + d[0]).digest()
    k = split(len(d))
    return sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def path(m: int, d: list[bytes]) -> list[bytes]:
    """RFC 6962, section 2.1.1: the audit path."""
    if len(d) == 1:
        return []
    k = split(len(d))
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m: int, d: list[bytes], b: bool) -> list[bytes]:
    """RFC 6962, section 2.1.2: the parts of a consistency proof."""
    if m == len(d):
        return [] if b else [mth(d)]
    k = split(len(d))
    if m <= k:
        return [*subproof(m, d[:k], b), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


def flipped(data: st.DataObject, proof: list[bytes]) -> list[bytes]:
    """The same proof with one bit of it another."""
    at = data.draw(st.integers(0, len(proof) - 1))
    node = bytearray(proof[at])
    node[data.draw(st.integers(0, len(node) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    return [*proof[:at], bytes(node), *proof[at + 1 :]]


@given(entries)
def test_a_root_is_the_definition_s(d: list[bytes]) -> None:
    """One by one, at once, and over the bytes of all leaf hashes."""
    leaves = leaf_hashes(d)
    single, bulk = Tree(), Tree()
    for leaf in leaves:
        single.append(leaf)
    bulk.extend(leaves)
    assert single.root() == bulk.root() == subtree_root(b"".join(leaves)) == mth(d)
    assert single.peaks == bulk.peaks
    assert single.size == bulk.size == len(d)


@given(entries, st.data())
def test_a_tree_resumed_is_the_whole_tree(d: list[bytes], data: st.DataObject) -> None:
    """Wherever it is cut, however often, and however the rest is added."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(d)), max_size=4)))
    leaves, tree = leaf_hashes(d), Tree()
    for start, end in zip([0, *cuts], [*cuts, len(d)], strict=True):
        tree = Tree(tree.size, tree.peaks)
        if data.draw(st.booleans()):
            tree.extend(leaves[start:end])
        else:
            for leaf in leaves[start:end]:
                tree.append(leaf)
        assert tree.root() == mth(d[:end])


@given(entries, st.data())
def test_leaf_hashes_in_parts_are_those_in_one(d: list[bytes], data: st.DataObject) -> None:
    """A shard's leaf hashes lie in one file a segment, some of them empty."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(d)), max_size=4)))
    leaves = leaf_hashes(d)
    parts = LeafHashes(*(b"".join(leaves[a:b]) for a, b in zip([0, *cuts], [*cuts, len(d)], strict=True)))
    start = data.draw(st.integers(0, len(d)))
    end = data.draw(st.integers(start, len(d)))
    assert list(parts.between(start, end)) == leaves[start:end]
    assert subtree_root(parts, start, end) == mth(d[start:end])


@given(some_entries, st.data())
def test_every_leaf_is_proven_and_no_other_thing_is(d: list[bytes], data: st.DataObject) -> None:
    """The proof is the RFC's; with any bit of it, the leaf, the place or the root another, it proves nothing."""
    index = data.draw(st.integers(0, len(d) - 1))
    proof = inclusion_proof(b"".join(leaf_hashes(d)), index)
    leaf, root, size = leaf_hash(d[index]), mth(d), len(d)
    assert proof == path(index, d)
    assert verify_inclusion(leaf, index, size, proof, root)
    if proof:
        assert not verify_inclusion(leaf, index, size, flipped(data, proof), root)
        assert not verify_inclusion(leaf, index, size, proof[:-1], root)
    assert not verify_inclusion(leaf, index, size, [*proof, root], root)
    assert not verify_inclusion(*flipped(data, [leaf]), index, size, proof, root)
    assert not verify_inclusion(leaf, index, size, proof, *flipped(data, [root]))
    other = data.draw(st.integers(-1, len(d)).filter(lambda other: not 0 <= other < size or d[other] != d[index]))
    assert not verify_inclusion(leaf, other, size, proof, root)


@given(some_entries, st.data())
def test_a_tree_is_consistent_with_its_beginnings_and_no_other(d: list[bytes], data: st.DataObject) -> None:
    """The proof is the RFC's; with any bit of it or of a root another, it proves nothing."""
    old = data.draw(st.integers(0, len(d)))
    proof = consistency_proof(b"".join(leaf_hashes(d)), old)
    old_root, root, size = mth(d[:old]), mth(d), len(d)
    assert proof == (subproof(old, d, True) if old else [])
    assert verify_consistency(old, old_root, size, root, proof)
    assert not verify_consistency(old, *flipped(data, [old_root]), size, root, proof)
    assert not verify_consistency(old, old_root, size, root, [*proof, root])
    if proof:
        assert not verify_consistency(old, old_root, size, *flipped(data, [root]), proof)
        assert not verify_consistency(old, old_root, size, root, flipped(data, proof))
        assert not verify_consistency(old, old_root, size, root, proof[:-1])


@given(some_entries, st.data())
def test_an_altered_beginning_is_never_consistent(d: list[bytes], data: st.DataObject) -> None:
    """Whoever alters an old leaf can make no proof of his tree that the old root accepts."""
    old = data.draw(st.integers(1, len(d)))
    at = data.draw(st.integers(0, old - 1))
    forged = [*d[:at], d[at] + b"!", *d[at + 1 :]]
    proof = consistency_proof(b"".join(leaf_hashes(forged)), old)
    assert not verify_consistency(old, mth(d[:old]), len(d), mth(forged), proof)


def test_all_small_trees() -> None:
    """Every leaf and every older size of every tree up to 20 leaves."""
    d = [bytes([number]) for number in range(20)]
    leaves = b"".join(leaf_hashes(d))
    for size in range(len(d) + 1):
        root = mth(d[:size])
        for index in range(size):
            proof = inclusion_proof(leaves, index, size)
            assert proof == path(index, d[:size])
            places = [i for i in range(-1, 21) if verify_inclusion(leaf_hash(d[index]), i, size, proof, root)]
            assert places == [index]
        for old in range(size + 1):
            proof = consistency_proof(leaves, old, size)
            assert proof == (subproof(old, d[:size], True) if old else [])
            assert verify_consistency(old, mth(d[:old]), size, root, proof)


def test_large_batches_make_the_same_tree() -> None:
    """More leaves than are added at once, on top of some already there."""
    leaves = leaf_hashes(str(number).encode() for number in range(10_000))
    single, bulk = Tree(), Tree()
    for leaf in leaves:
        single.append(leaf)
    bulk.extend(leaves[:37])
    bulk.extend(iter(leaves[37:]))
    assert single.peaks == bulk.peaks


def test_the_empty_tree() -> None:
    """It has a root, begins every tree, and is begun by none but itself."""
    one = leaf_hash(b"x")
    assert Tree().root() == EMPTY_ROOT == subtree_root(b"") == subtree_root(LeafHashes())
    assert verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    assert verify_consistency(0, EMPTY_ROOT, 1, one, [])
    assert not verify_consistency(0, one, 1, one, [])
    assert not verify_consistency(1, one, 0, EMPTY_ROOT, [])
    assert not verify_inclusion(one, 0, 0, [], EMPTY_ROOT)


def test_bytes_that_are_no_hashes_and_trees_that_are_not_there_are_refused() -> None:
    """Bugs of whoever calls, not findings."""
    two = b"".join(leaf_hashes([b"a", b"b"]))
    with pytest.raises(ValueError, match="of 32 bytes"):
        subtree_root(b"x" * 33)
    for wrong in ((2, None), (-1, None), (1, 1), (0, 3)):
        with pytest.raises(ValueError, match="no "):
            inclusion_proof(two, *wrong)
    for wrong in ((3, None), (-1, None), (2, 1), (0, 3)):
        with pytest.raises(ValueError, match="no "):
            consistency_proof(two, *wrong)
    with pytest.raises(ValueError, match="no leaves"):
        subtree_root(two, 1, 3)
    for size, peaks in ((1, ()), (-1, ()), (1, (b"short",)), (0, (two[:32],))):
        with pytest.raises(ValueError, match="not the state"):
            Tree(size, peaks)


@given(st.integers(1, 3 * BLOCK + 5), st.lists(st.integers(1, 2 * BLOCK), max_size=4), st.data())
def test_kept_blocks_change_no_root_and_no_proof(count: int, cuts: list[int], data: st.DataObject) -> None:
    """However the leaves came, and however few of the blocks were kept."""
    leaves = [leaf_hash(b"%d" % number) for number in range(count)]
    tree, blocks, rest = Tree(), list[bytes](), leaves
    for cut in (*cuts, count):
        blocks += tree.extend(rest[:cut])
        rest = rest[cut:]
    whole = b"".join(leaves)
    assert blocks == [subtree_root(whole, start, start + BLOCK) for start in range(0, count - BLOCK + 1, BLOCK)]
    kept = LeafHashes(whole, blocks=b"".join(blocks[: data.draw(st.integers(0, len(blocks)))]))
    size = data.draw(st.integers(1, count))
    index = data.draw(st.integers(0, size - 1))
    assert subtree_root(kept) == subtree_root(whole) == tree.root()
    assert inclusion_proof(kept, index, size) == inclusion_proof(whole, index, size)
    assert consistency_proof(kept, index, size) == consistency_proof(whole, index, size)
