"""Digests of read models: live, maintained with every change; canonical, over the ordered rows.

The live digest is 256 sums mod 2^256 of keyed row hashes. A sum does not care about order, so it
follows inserts, changes and deletes in any order in O(changes); the key keeps anybody who can write
events from searching for rows that cancel out. The reference digests are in `reference`.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import orjson

from projections.domain.rule import Row, Table, picker
from traces.domain.canonical import jcs

BUCKETS = 256
"""Buckets of a live digest; a row's bucket is the first byte of the SHA-256 of its key."""

_WIDTH = 32
_MASK = (1 << (8 * _WIDTH)) - 1


def sha_once(key: str) -> bytes:
    """`key_sha` of a key that is asked for once; remembering it would push out those that come again."""
    return hashlib.sha256(key.encode()).digest()


@lru_cache(maxsize=32_768)
def key_sha(key: str) -> bytes:
    """SHA-256 of a row key, 32 bytes: what the database indexes instead of the key itself.

    Remembered for two batches of a rebuild: the ends of an edge are asked for once as nodes and once more
    as ends, when the next batch has been folded already.
    """
    return hashlib.sha256(key.encode()).digest()


@lru_cache(maxsize=64)
def _writer(table: Table) -> Callable[[str, int, Row], bytes]:
    """`canonical_row` of one table: which columns, and whether they need care, is decided once."""
    name = table.name
    pick = picker(table)
    dumps = orjson.dumps

    def plain(key: str, log_seq: int, row: Row) -> bytes:
        return dumps((name, key, log_seq, *pick(row)))

    def careful(key: str, log_seq: int, row: Row) -> bytes:
        # rows hold values out of parsed payloads, so there is no NaN to look for
        return jcs([name, key, log_seq, *pick(row)], checked=True)

    return plain if table.plain else careful


def canonical_row(table: Table, key: str, log_seq: int, row: Row) -> bytes:
    """JCS of table, key, ``log_seq`` and the semantic columns in the table's order."""
    return _writer(table)(key, log_seq, row)


def row_hasher(secret: bytes, table: Table) -> Callable[[str, int, Row], bytes]:
    """`row_hash` of one table under one key, for the many rows of a batch."""
    content = _writer(table)
    keyed = hashlib.blake2b(digest_size=_WIDTH, key=secret)

    def hashed(key: str, log_seq: int, row: Row) -> bytes:
        state = keyed.copy()
        state.update(content(key, log_seq, row))
        return state.digest()

    return hashed


def row_hash(secret: bytes, table: Table, key: str, log_seq: int, row: Row) -> bytes:
    """Keyed BLAKE2b-256 of the row, 32 bytes.

    Args:
        secret: the tenant's digest key, at most 64 bytes.
    """
    return row_hasher(secret, table)(key, log_seq, row)


class Buckets:
    """The live digest of one generation of one projection."""

    __slots__ = ("sums",)

    def __init__(self, sums: Iterable[int] | None = None) -> None:
        """From 256 sums, or empty."""
        self.sums = [0] * BUCKETS if sums is None else list(sums)
        if len(self.sums) != BUCKETS:
            raise ValueError(f"a live digest has {BUCKETS} buckets, not {len(self.sums)}")

    @classmethod
    def from_bytes(cls, packed: bytes) -> Buckets:
        """The inverse of `to_bytes`; empty bytes are an empty digest."""
        if not packed:
            return cls()
        if len(packed) != BUCKETS * _WIDTH:
            raise ValueError(f"a live digest is {BUCKETS * _WIDTH} bytes, not {len(packed)}")
        return cls(int.from_bytes(packed[start : start + _WIDTH], "big") for start in range(0, len(packed), _WIDTH))

    def to_bytes(self) -> bytes:
        """All sums, 32 bytes each, big-endian, in bucket order."""
        return b"".join(value.to_bytes(_WIDTH, "big") for value in self.sums)

    def add(self, sha: bytes, hashed: bytes) -> None:
        """A row appeared. ``sha``: its `key_sha`; ``hashed``: its `row_hash`."""
        index = sha[0]
        self.sums[index] = (self.sums[index] + int.from_bytes(hashed, "big")) & _MASK

    def add_all(self, shas: Sequence[bytes], hashes: Sequence[bytes]) -> set[int]:
        """`add` for many, in the order of their `key_sha`. Answers the buckets they are in.

        In steps that are spent in C: a rebuild adds tens of thousands of rows a second.
        """
        touched: set[int] = set()
        start = 0
        while start < len(shas):
            index = shas[start][0]
            end = len(shas) if index == BUCKETS - 1 else bisect_left(shas, bytes((index + 1,)), start)
            self.sums[index] = (self.sums[index] + sum(map(int.from_bytes, hashes[start:end]))) & _MASK
            touched.add(index)
            start = end
        return touched

    def remove(self, sha: bytes, hashed: bytes) -> None:
        """A row went away; a changed row is a `remove` of the old and an `add` of the new hash."""
        index = sha[0]
        self.sums[index] = (self.sums[index] - int.from_bytes(hashed, "big")) & _MASK

    def combine(self, other: Buckets) -> Buckets:
        """The digest of both row sets together, for example of a slice and of what came before."""
        pairs = zip(self.sums, other.sums, strict=True)
        return Buckets((mine + theirs) & _MASK for mine, theirs in pairs)

    def differing(self, other: Buckets) -> list[int]:
        """Indices of the buckets whose sums differ."""
        pairs = zip(self.sums, other.sums, strict=True)
        return [index for index, (mine, theirs) in enumerate(pairs) if mine != theirs]

    def digest(self) -> str:
        """One value for the whole projection: ``sha256:`` + hex over all buckets."""
        return "sha256:" + hashlib.sha256(self.to_bytes()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Buckets) and self.sums == other.sums

    def __hash__(self) -> int:
        return hash(tuple(self.sums))


class CanonicalDigest:
    """SHA-256 over the JCS rows, a line each, fed in (table, key) order.

    The order is that of code points, which is also the order of UTF-8 bytes: ``COLLATE "C"``.
    """

    __slots__ = ("_hash", "_last", "rows")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._last: tuple[str, str] | None = None
        self.rows = 0
        """Rows fed so far."""

    def feed(self, table: Table, key: str, log_seq: int, row: Row) -> None:
        """Add the next row.

        Raises:
            ValueError: the row does not come after the last one.
        """
        here = (table.name, key)
        if self._last is not None and here <= self._last:
            raise ValueError(f"row {here} does not come after {self._last}")
        self._last = here
        self._hash.update(canonical_row(table, key, log_seq, row))
        self._hash.update(b"\n")
        self.rows += 1

    def digest(self) -> str:
        """``sha256:`` + hex of the rows fed so far."""
        return "sha256:" + self._hash.hexdigest()
