"""The Merkle tree of RFC 6962 over the lines of a shard: roots, proofs, and their verification.

Names are those of the RFCs: `MTH` is a tree's root, `PATH` an inclusion proof, `PROOF` a consistency proof. Verifying
follows RFC 9162 step by step; it shares no code with what makes the proofs.

INVARIANT: every root and proof equals the RFC's recursive definition, and no other root is accepted with it
(test_ledger_merkle: the definition; altered proofs).

Source: RFC 6962, section 2.1; RFC 9162, section 2.1; decision page 8.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import accumulate, chain, islice
from mmap import mmap
from struct import Struct, iter_unpack
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256().digest()
"""MTH({}): the root of a tree without leaves."""
MAX_PROOF: Final = 64
"""No proof has more nodes, in trees of fewer than 2^63 leaves."""
BLOCK_LEVEL: Final = 8
BLOCK: Final = 1 << BLOCK_LEVEL
"""Leaves of a block: the roots of whole blocks may be kept beside the leaf hashes, as in C2SP tlog-tiles. One hash in
256 is little to keep, and a proof among millions of leaves takes but some thousand steps with them."""

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"
_PAIR: Final = Struct(f"{2 * HASH_BYTES}s")
_BATCH: Final = 1024
"""Leaves taken at once: what is made of them stays in a processor's nearest cache."""

Buffer = bytes | bytearray | memoryview | mmap


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry: of a record, its line without the line feed."""
    return sha256(_LEAF + entry).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """The same of many, at the least cost an entry."""
    # To copy a hash that has seen the prefix takes an eighth less than to make one and to join prefix and content.
    fresh, digests = sha256(_LEAF).copy, []
    for entry in entries:
        digest = fresh()
        digest.update(entry)
        digests.append(digest.digest())
    return digests


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(_NODE + left + right).digest()


def block_roots(leaves: bytes) -> list[bytes]:
    """The roots of blocks, one after the other.

    Args:
        leaves: their hashes, `BLOCK` for each block.

    Cost: 0.5 µs a leaf.
    """
    roots = []
    for start in range(0, len(leaves), BLOCK * HASH_BYTES):
        nodes = leaves[start : start + BLOCK * HASH_BYTES]
        while len(nodes) > HASH_BYTES:
            nodes = b"".join(_parents(nodes))
        roots.append(nodes)
    return roots


def _parents(nodes: bytes) -> list[bytes]:
    """The hash of each pair of nodes."""
    fresh, digests = sha256(_NODE).copy, []
    for (pair,) in _PAIR.iter_unpack(nodes):  # both nodes in one piece: to join two costs more
        digest = fresh()
        digest.update(pair)
        digests.append(digest.digest())
    return digests


class Tree:
    """A growing tree that remembers only the roots of its whole subtrees: a compact range.

    Args:
        size: leaves there already.
        peaks: the roots of the whole subtrees that they make, largest first: as many as `size` has one bits.

    Raises:
        ValueError: the peaks are not those of a tree of that size.

    Cost: one node hash per leaf in the mean, and at most 64 hashes of memory.
    """

    __slots__ = ("_peaks", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if size < 0 or len(peaks) != size.bit_count() or any(len(peak) != HASH_BYTES for peak in peaks):
            raise ValueError(f"not the state of a tree of {size} leaves")
        self.size = size
        self._peaks = list(peaks)

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """With `size`, all there is to know: `Tree(tree.size, tree.peaks)` goes on from here."""
        return tuple(self._peaks)

    def append(self, leaf: bytes) -> None:
        """Add one leaf, by its hash."""
        node, rest, peaks = leaf, self.size, self._peaks
        while rest & 1:
            node = sha256(_NODE + peaks.pop() + node).digest()
            rest >>= 1
        peaks.append(node)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> list[bytes]:
        """Add many, by their hashes; quicker than one by one.

        Returns:
            the roots of the blocks that became whole by them.
        """
        source, blocks = iter(leaves), list[bytes]()
        while batch := list(islice(source, _BATCH)):
            self._add(batch, blocks)
        return blocks

    def extend_blocks(self, roots: Iterable[bytes]) -> None:
        """Add the leaves of whole blocks, by the roots of these.

        Raises:
            ValueError: the tree does not end with a whole block.
        """
        if self.size % BLOCK:
            raise ValueError(f"a tree of {self.size} leaves ends within a block")
        self._add(list(roots), [], BLOCK_LEVEL)

    def _add(self, nodes: list[bytes], blocks: list[bytes], level: int = 0) -> None:
        """Level by level: a whole subtree left over from before pairs with the first, and the last may stay alone.

        Args:
            nodes: roots of whole subtrees of 2^level leaves. blocks: gets those of whole blocks.
        """
        grown, rest, alone = len(nodes) << level, self.size >> level, []
        while nodes:
            if level == BLOCK_LEVEL:
                blocks += nodes
            if rest & 1:
                nodes.insert(0, self._peaks.pop())
            if len(nodes) & 1:
                alone.append(nodes.pop())
            nodes = _parents(b"".join(nodes))
            rest, level = rest >> 1, level + 1
        self._peaks += reversed(alone)
        self.size += grown

    def root(self) -> bytes:
        """MTH of the leaves so far."""
        if not self._peaks:
            return EMPTY_ROOT
        *larger, node = self._peaks
        for peak in reversed(larger):
            node = node_hash(peak, node)
        return node


class LeafHashes:
    """Leaf hashes in order, where they lie: one or more bytes-likes of 32 bytes a leaf, such as mapped `.hashes` files.

    Args:
        blocks: the roots of the whole blocks from the first on, as many as are kept. They are believed: what is made
            with them is to be verified.

    Raises:
        ValueError: the length of a part is no multiple of 32.
    """

    def __init__(self, *parts: Buffer, blocks: Buffer = b"") -> None:
        self._blocks = memoryview(blocks).cast("B")
        self._parts = [memoryview(part).cast("B") for part in parts]
        if any(len(part) % HASH_BYTES for part in self._parts):
            raise ValueError("leaf hashes are of 32 bytes each")
        self._starts = list(accumulate((len(part) // HASH_BYTES for part in self._parts), initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def between(self, start: int, end: int) -> Iterator[bytes]:
        """The hashes of leaves start … end - 1."""
        if not 0 <= start <= end <= len(self):
            raise ValueError(f"no leaves {start} to {end} among {len(self)}")
        numbers = range(max(bisect_right(self._starts, start) - 1, 0), bisect_left(self._starts, end))
        pieces = (self._piece(number, start, end) for number in numbers)
        return (leaf for piece in pieces for (leaf,) in iter_unpack("32s", piece))

    def block_roots(self, start: int, end: int) -> Iterator[bytes] | None:
        """The roots of blocks start … end - 1; None where they are not kept."""
        if len(self._blocks) < end * HASH_BYTES:
            return None
        return (root for (root,) in iter_unpack("32s", self._blocks[start * HASH_BYTES : end * HASH_BYTES]))

    def _piece(self, number: int, start: int, end: int) -> memoryview:
        first = self._starts[number]
        return self._parts[number][max(start - first, 0) * HASH_BYTES : max(end - first, 0) * HASH_BYTES]


Leaves = LeafHashes | Buffer


def subtree_root(leaves: Leaves, start: int = 0, end: int | None = None) -> bytes:
    """MTH(D[start:end]): the root over a range of leaves; over all of them, the tree's.

    Cost: one node hash a leaf; where the range begins with a block and blocks are kept, one a block.
    """
    there = as_leaf_hashes(leaves)
    end = len(there) if end is None else end
    whole = end // BLOCK * BLOCK
    roots = there.block_roots(start // BLOCK, end // BLOCK) if start % BLOCK == 0 and start < whole else None
    if roots is None:
        tree = Tree()
        tree.extend(there.between(start, end))
        return tree.root()
    above, below = Tree(), Tree()
    above.extend(roots)
    below.extend(there.between(whole, end))
    return Tree(end - start, (*above.peaks, *below.peaks)).root()


def inclusion_proof(leaves: Leaves, index: int, size: int | None = None) -> list[bytes]:
    """PATH(index, D[size]): from the leaf's sibling up to a child of the root.

    Args:
        size: of the tree to prove it in: the first `size` leaves; all of them where it is None.

    Raises:
        ValueError: there is no such leaf, or no such tree.

    Cost: one node hash a leaf of the tree.
    """
    there = as_leaf_hashes(leaves)
    start, end = 0, _checked_size(there, size)
    if not start <= index < end:
        raise ValueError(f"no leaf {index} in a tree of {end}")
    siblings = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            siblings.append((middle, end))
            end = middle
        else:
            siblings.append((start, middle))
            start = middle
    return [subtree_root(there, *sibling) for sibling in reversed(siblings)]


def consistency_proof(leaves: Leaves, old_size: int, size: int | None = None) -> list[bytes]:
    """PROOF(old_size, D[size]): that the tree of `old_size` leaves is the beginning of that of `size`.

    It is empty where there is nothing to prove: for an empty old tree, and for one of the same size.

    Raises:
        ValueError: the old tree is larger than the new one, or there are not so many leaves.

    Cost: one node hash a leaf of the tree.
    """
    there = as_leaf_hashes(leaves)
    start, end = 0, _checked_size(there, size)
    if not 0 <= old_size <= end:
        raise ValueError(f"no tree of {old_size} leaves within one of {end}")
    nodes: list[tuple[int, int]] = []
    while start < old_size < end:
        middle = start + _split(end - start)
        if old_size <= middle:
            nodes.append((middle, end))
            end = middle
        else:
            nodes.append((start, middle))
            start = middle
    # The subtree at which the two trees part is known to whoever knows the old root, if it is the whole old tree.
    if start:
        nodes.append((start, end))
    return [subtree_root(there, *node) for node in reversed(nodes)]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether the leaf of that hash is at `index` in the tree of `size` leaves with that root.

    It does not tell that the tree has that size: size and root must come together from a checkpoint.

    Source: RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size or not _are_hashes(leaf, *path):
        return False
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            fn, sn = _past_zeros(fn, sn)
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def verify_consistency(old_size: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether the tree of `size` leaves begins with the leaves of the older one.

    The empty tree begins every tree, and each tree itself: there the proof must be empty.

    Source: RFC 9162, section 2.1.4.2.
    """
    if old_size == size:
        return not path and old_root == root
    if old_size == 0:
        return not path and old_root == EMPTY_ROOT and size > 0
    if not 0 < old_size < size or not path or not _are_hashes(old_root, *path):
        return False
    return _walk_consistency(old_size, old_root, size, root, path)


def _walk_consistency(first: int, first_hash: bytes, second: int, second_hash: bytes, path: Sequence[bytes]) -> bool:
    """Steps 2 to 7 of RFC 9162, section 2.1.4.2, by its names; 0 < first < second, the path not empty."""
    nodes = chain((first_hash,) if first & (first - 1) == 0 else (), path)
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = next(nodes)
    for c in nodes:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            fn, sn = _past_zeros(fn, sn)
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == first_hash and sr == second_hash


def _past_zeros(fn: int, sn: int) -> tuple[int, int]:
    """Both shifted right equally until LSB(fn) is set or fn is 0."""
    while fn and not fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def _are_hashes(*nodes: bytes) -> bool:
    """Two nodes of other lengths could be concatenated to the text of a true one."""
    return all(len(node) == HASH_BYTES for node in nodes)


def _split(count: int) -> int:
    """k of the RFC: the largest power of two smaller than `count`, which is at least 2."""
    return 1 << (count - 1).bit_length() - 1


def as_leaf_hashes(leaves: Leaves) -> LeafHashes:
    """The same leaf hashes, in whatever form they came."""
    return leaves if isinstance(leaves, LeafHashes) else LeafHashes(leaves)


def _checked_size(leaves: LeafHashes, size: int | None) -> int:
    if size is None:
        return len(leaves)
    if not 0 <= size <= len(leaves):
        raise ValueError(f"no tree of {size} leaves: there are {len(leaves)}")
    return size
