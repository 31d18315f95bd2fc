"""Whole columns as PostgreSQL array parameters in binary form.

A batch is written by ``INSERT ... SELECT FROM unnest(...)``, one array per column. The driver's own
list dumper asks for the type of every element; the log and the read models know their types, so a
column becomes one ``bytes.join``. That is what makes a rebuild of tens of thousands of events a
second possible (COPY would have to go through a temporary table: it is refused where row-level
security applies).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct, pack
from typing import Any
from weakref import WeakSet

import psycopg
from django.db import connection
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

_NULL = b"\xff\xff\xff\xff"
_BIGINT = Struct(">iq").pack
_INTEGER = Struct(">ii").pack
_Y2K = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LENGTHS = tuple(pack(">i", length) for length in range(4096))


class Array:
    """An array parameter, already encoded."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class TextArray(Array):
    """``text[]``"""


class BigintArray(Array):
    """``bigint[]``"""


class ByteaArray(Array):
    """``bytea[]``"""


class IntegerArray(Array):
    """``int[]``"""


class InstantArray(Array):
    """``timestamptz[]``"""


class BooleanArray(Array):
    """``boolean[]``"""


def _encode(element_oid: int, count: int, items: Sequence[bytes]) -> bytes:
    if not count:
        return pack(">iii", 0, 0, element_oid)
    # the flag only says that there may be nulls
    return pack(">iiiii", 1, 1, element_oid, count, 1) + b"".join(items)


def _one(raw: bytes) -> bytes:
    size = len(raw)
    return (_LENGTHS[size] if size < len(_LENGTHS) else pack(">i", size)) + raw


def _with_lengths(raws: list[bytes]) -> list[bytes]:
    """Every element behind its length, in time that is spent in C."""
    sizes = list(map(len, raws))
    if sizes and max(sizes) >= len(_LENGTHS):
        heads = [pack(">i", size) for size in sizes]
    else:
        heads = list(map(_LENGTHS.__getitem__, sizes))
    items = [b""] * (2 * len(raws))
    items[::2] = heads
    items[1::2] = raws
    return items


def texts(values: Iterable[str | None]) -> TextArray:
    """A column of texts."""
    column = list(values)
    if None in column:
        items = [_NULL if value is None else _one(value.encode()) for value in column]
        return TextArray(_encode(25, len(column), items))
    raws = list(map(str.encode, column))  # type: ignore[arg-type]  # no None is in it
    return TextArray(_encode(25, len(column), _with_lengths(raws)))


def byteas(values: Iterable[bytes | None]) -> ByteaArray:
    """A column of byte strings."""
    column = list(values)
    if None in column:
        items = [_NULL if value is None else _one(value) for value in column]
    else:
        items = _with_lengths(column)  # type: ignore[arg-type]  # no None is in it
    return ByteaArray(_encode(17, len(column), items))


def bigints(values: Iterable[int | None]) -> BigintArray:
    """A column of integers."""
    column = list(values)
    items = [_NULL if value is None else _BIGINT(8, value) for value in column]
    return BigintArray(_encode(20, len(column), items))


def integers(values: Iterable[int]) -> IntegerArray:
    """A column of four-byte integers."""
    items = [_INTEGER(4, value) for value in values]
    return IntegerArray(_encode(23, len(items), items))


def instants(values: Iterable[datetime]) -> InstantArray:
    """A column of points in time (aware); the database counts microseconds from the year 2000."""
    items = [_BIGINT(8, (value - _Y2K) // _MICROSECOND) for value in values]
    return InstantArray(_encode(1184, len(items), items))


def booleans(values: Iterable[bool | None]) -> BooleanArray:
    """A column of truth values."""
    column = list(values)
    items = [_NULL if value is None else pack(">i?", 1, value) for value in column]
    return BooleanArray(_encode(16, len(column), items))


def _dumper(array_oid: int) -> type[Dumper]:
    class ArrayDumper(Dumper):
        format = Format.BINARY
        oid = array_oid

        def dump(self, obj: Any) -> Buffer:
            data: bytes = obj.data
            return data

    return ArrayDumper


_DUMPERS: tuple[tuple[type[Array], type[Dumper]], ...] = (
    (TextArray, _dumper(1009)),
    (BigintArray, _dumper(1016)),
    (ByteaArray, _dumper(1001)),
    (BooleanArray, _dumper(1000)),
    (IntegerArray, _dumper(1007)),
    (InstantArray, _dumper(1185)),
)


_taught: WeakSet[psycopg.Connection[Any]] = WeakSet()
"""Connections that know how to send an `Array`."""


def cursor() -> psycopg.Cursor[Any]:
    """The driver's own cursor on Django's connection: parameters apart from the text, binary results."""
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    if raw not in _taught:  # a connection, not a cursor: each would copy the whole map of types
        for kind, dumper in _DUMPERS:
            raw.adapters.register_dumper(kind, dumper)
        _taught.add(raw)
    made: psycopg.Cursor[Any] = psycopg.Cursor(raw)
    made.format = Format.BINARY
    return made


def literal(values: Sequence[str]) -> str:
    """A ``text[]`` as one text, for columns that hold lists."""
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in escaped) + "}"


Encoder = Callable[[Iterable[Any]], Array]
