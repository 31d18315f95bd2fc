"""The Merkle tree over a log: root, inclusion proof, consistency proof. Pure.

Source: RFC 6962 section 2 (the tree), RFC 9162 sections 2.1.3 and 2.1.4 (the two proofs and how they are
checked). The entry of event ``log_seq`` is its 32-byte ``leaf_hash``; its place in the tree is
``log_seq - 1``. Nothing here reads the log: whoever asks for a proof brings the hashes of the complete
subtrees that `wanted` names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

EMPTY = sha256(b"").digest()
"""Root of a tree without leaves."""
HASH_BYTES = 32
STEP = 8
"""Hashes of complete subtrees of 256, 65,536, ... leaves are kept; everything below is made again."""


class Subtree(NamedTuple):
    """A complete subtree: ``2 ** height`` leaves from leaf ``at * 2 ** height`` on."""

    height: int
    at: int

    @property
    def start(self) -> int:
        """Its first leaf."""
        return self.at << self.height

    @property
    def end(self) -> int:
        """The leaf behind its last one."""
        return (self.at + 1) << self.height


class Kept(NamedTuple):
    """A complete subtree whose hash is stored."""

    place: Subtree
    digest: bytes


def leaf(entry: bytes) -> bytes:
    """Hash of a leaf: SHA-256 of a zero byte and the entry."""
    return sha256(b"\x00" + entry).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256 of a one byte and both children."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a tree: one hash per complete subtree, the largest first.

    It is all that a growing tree needs: a new leaf costs one hash and, on average, one more.
    """

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        """A tree of ``size`` leaves whose complete subtrees have these hashes.

        Raises ValueError when there are not as many hashes as ``size`` has bits.
        """
        if size < 0 or len(hashes) != size.bit_count() or any(len(each) != HASH_BYTES for each in hashes):
            raise ValueError(f"A tree of {size} leaves has {max(size, 0).bit_count()} hashes of 32 bytes at its edge.")
        self.size = size
        self.hashes = list(hashes)

    @classmethod
    def read(cls, size: int, raw: bytes) -> Frontier:
        """From the hashes one behind the other, as `raw` writes them."""
        return cls(size, [raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES)])

    @property
    def raw(self) -> bytes:
        """The hashes one behind the other."""
        return b"".join(self.hashes)

    def push(self, entry: bytes) -> list[Kept]:
        """One more leaf; the subtrees completed by it whose hashes are to be kept."""
        digest, index, height = leaf(entry), self.size, 0
        found: list[Kept] = []
        while index & 1:
            digest = sha256(b"\x01" + self.hashes.pop() + digest).digest()
            index >>= 1
            height += 1
            if height % STEP == 0:
                found.append(Kept(Subtree(height, index), digest))
        self.hashes.append(digest)
        self.size += 1
        return found

    def grow(self, entries: Iterable[bytes]) -> list[Kept]:
        """Many more leaves."""
        return [kept for entry in entries for kept in self.push(entry)]

    def root(self) -> bytes:
        """The root hash of the whole tree."""
        return fold(self.hashes)


def fold(hashes: Sequence[bytes]) -> bytes:
    """The hash over complete subtrees that stand beside each other, the largest first."""
    if not hashes:
        return EMPTY
    digest = hashes[-1]
    for left in reversed(hashes[:-1]):
        digest = node(left, digest)
    return digest


def root(entries: Iterable[bytes]) -> bytes:
    """The root hash over all entries."""
    tree = Frontier()
    tree.grow(entries)
    return tree.root()


# --- proofs: which parts of the tree they are made of ---------------------------------------------------

Span = tuple[int, int]
"""Leaves from the first number up to, without, the second."""


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The parts of a tree of ``size`` leaves whose hashes prove leaf ``index``, from the leaf upwards.

    Raises ValueError when there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"There is no leaf {index} in a tree of {size}.")
    found: list[Span] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            found.append((middle, high))
            high = middle
        else:
            found.append((low, middle))
            low = middle
    return found[::-1]


def consistency_spans(old: int, size: int) -> list[Span]:
    """The parts of a tree of ``size`` leaves which prove that its first ``old`` leaves are the older tree.

    Nothing for ``old`` 0 and for equal sizes: there is nothing to prove. Raises ValueError when the older
    tree is the larger one.
    """
    if not 0 <= old <= size:
        raise ValueError(f"A tree of {old} leaves does not come before one of {size}.")
    if old in (0, size):
        return []
    found: list[Span] = []
    low, high, known = 0, size, True
    """``known``: the older root is itself the hash of what is left, so the reader has it."""
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            found.append((middle, high))
            high = middle
        else:
            found.append((low, middle))
            low, known = middle, False
    if not known:
        found.append((low, high))
    return found[::-1]


def _split(size: int) -> int:
    """The largest power of two below ``size``: where a tree is divided."""
    return 1 << (size - 1).bit_length() - 1


def subtrees(span: Span) -> list[Subtree]:
    """The complete subtrees that make up a part of a tree, the largest first."""
    found: list[Subtree] = []
    low, high = span
    while low < high:
        height = (high - low).bit_length() - 1
        if low:
            height = min(height, (low & -low).bit_length() - 1)
        found.append(Subtree(height, low >> height))
        low += 1 << height
    return found


def wanted(spans: Iterable[Span]) -> list[Subtree]:
    """The subtrees with kept hashes, and the single leaves, that a proof is computed from."""
    found: list[Subtree] = []
    for span in spans:
        for each in subtrees(span):
            below = each.height % STEP
            base = each.height - below
            found += [Subtree(base, (each.at << below) + offset) for offset in range(1 << below)]
    return found


def proof(spans: Iterable[Span], known: Mapping[Subtree, bytes]) -> list[bytes]:
    """The hashes of these parts, given those of everything `wanted` names. Raises KeyError without one."""
    return [fold([_digest(each, known) for each in subtrees(span)]) for span in spans]


def _digest(place: Subtree, known: Mapping[Subtree, bytes]) -> bytes:
    if place.height % STEP == 0:
        return known[place]
    left, right = Subtree(place.height - 1, place.at * 2), Subtree(place.height - 1, place.at * 2 + 1)
    return node(_digest(left, known), _digest(right, known))


# --- proofs: whether they hold --------------------------------------------------------------------------


def includes(entry: bytes, index: int, size: int, path: Sequence[bytes], root_hash: bytes) -> bool:
    """Whether ``path`` proves that ``entry`` is leaf ``index`` of the tree of ``size`` leaves with this root."""
    if not 0 <= index < size:
        return False
    digest, at, last = leaf(entry), index, size - 1
    for each in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            digest = node(each, digest)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            digest = node(digest, each)
        at >>= 1
        last >>= 1
    return last == 0 and digest == root_hash


def consistent(old: int, size: int, path: Sequence[bytes], old_root: bytes, root_hash: bytes) -> bool:
    """Whether ``path`` proves that the tree with ``old_root`` is the beginning of the one with ``root_hash``."""
    if not 0 <= old <= size:
        return False
    if old == size:
        return not path and old_root == root_hash
    if old == 0:
        return not path and old_root == EMPTY
    parts = iter(path)
    at, last = old - 1, size - 1
    while at & 1:
        at >>= 1
        last >>= 1
    first = old_root if at == 0 else next(parts, b"")
    return _both(first, at, last, parts) == (old_root, root_hash)


def _both(first: bytes, at: int, last: int, parts: Iterator[bytes]) -> tuple[bytes, bytes] | None:
    """The two roots that a consistency path leads to; None when it is too long or too short."""
    old = new = first
    for each in parts:
        if last == 0:
            return None
        if at & 1 or at == last:
            old, new = node(each, old), node(each, new)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            new = node(new, each)
        at >>= 1
        last >>= 1
    return (old, new) if last == 0 else None
