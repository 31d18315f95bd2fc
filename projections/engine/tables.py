"""Read-model tables as the engine sees them: SQL made once from model and rule, rows in and out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.search import SearchVectorField
from django.db import models

from decisiongraph.core.db import arrays, current_tenant_id
from projections.domain.digest import key_sha
from projections.domain.rule import Merge, Row, Rule, Table, picker
from projections.domain.rules import RULES
from projections.models import TABLES, CanonicalField, ProjectionRow
from traces.domain.canonical import jcs


class Change(NamedTuple):
    """One row to write."""

    key: str
    key_sha: bytes
    row_hash: bytes
    log_seq: int
    row: Row


class Found(NamedTuple):
    """One row as the database holds it."""

    key: str
    row_hash: bytes
    log_seq: int
    row: dict[str, Any]


class _Column(NamedTuple):
    name: str
    sql_type: str
    encode: arrays.Encoder
    expression: str
    """How the unnested value becomes the column's value."""
    prepare: Callable[[Any], Any] | None
    """From the JSON value of a row to what ``encode`` takes; None = as it is."""
    load: Callable[[Any], Any] | None
    """From the driver's value back to the JSON value; None = as it is."""


def _column(field: models.Field[Any, Any]) -> _Column:
    name = str(field.column)
    if isinstance(field, CanonicalField):
        return _Column(name, "text", arrays.texts, f"u.{name}", _canonical_text, _load_json)
    if isinstance(field, ArrayField):
        return _Column(name, "text", arrays.texts, f"u.{name}::text[]", arrays.literal, list)
    if isinstance(field, SearchVectorField):
        return _Column(name, "text", arrays.texts, f"u.{name}::tsvector", None, None)
    if isinstance(field, models.TextField):
        return _Column(name, "text", arrays.texts, f"u.{name}", None, None)
    if isinstance(field, models.BooleanField):
        return _Column(name, "boolean", arrays.booleans, f"u.{name}", None, None)
    if isinstance(field, models.BinaryField):
        return _Column(name, "bytea", arrays.byteas, f"u.{name}", None, None)
    if isinstance(field, models.DateTimeField):
        return _Column(name, "text", arrays.texts, f"u.{name}::timestamptz", _iso, None)
    if isinstance(field, models.BigIntegerField):
        return _Column(name, "bigint", arrays.bigints, f"u.{name}", None, None)
    raise TypeError(f"a read model cannot hold the field {field!r}")


def _canonical_text(value: Any) -> str | None:
    return None if value is None else jcs(value, checked=True).decode()


def _load_json(value: Any) -> Any:
    return None if value is None else orjson.loads(value)


def _iso(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


class BoundTable:
    """A rule's table tied to its model."""

    def __init__(self, table: Table, model: type[ProjectionRow]) -> None:
        self.table = table
        self.model = model
        self.name = model._meta.db_table
        fields = {field.name: field for field in model._meta.concrete_fields}
        self.semantic = [_column(fields[name]) for name in table.columns]
        derived = model.derived
        self.derived = [_column(fields[name]) for name in derived]
        self._derive = [derived[column.name] for column in self.derived]
        self._pick = picker(table)
        known = {*table.columns, *derived}
        base = {"id", "tenant", "generation", "key", "key_sha", "row_hash", "log_seq"}
        if set(fields) - base != known:
            raise TypeError(f"{model.__name__} and its rule name other columns")
        written = [*self.semantic, *self.derived]
        head = ("key", "key_sha", "row_hash", "log_seq")
        every = (*head, *(column.name for column in written))
        names = ", ".join(every)
        values = ", ".join((*(f"u.{name}" for name in head), *(c.expression for c in written)))
        types = ("text", "bytea", "bytea", "bigint", *(column.sql_type for column in written))
        # arrays of one length side by side in a select list: in FROM every row would be stored once on its way
        rows = ", ".join(f"unnest(%b::{kind}[]) AS {name}" for kind, name in zip(types, every, strict=True))
        insert = (
            f"INSERT INTO {self.name} (tenant_id, generation, {names}) "
            f"SELECT %s::int, %s::int, {values} FROM (SELECT {rows}) AS u"
        )
        assign = ", ".join(
            f"{name} = EXCLUDED.{name}" for name in ("row_hash", "log_seq", *(column.name for column in written))
        )
        conflict = " ON CONFLICT (tenant_id, generation, key_sha)"
        self._append = insert
        # all hashes as one value: a row of the answer for each took a thirtieth of the graph's Python
        self._first = (
            f"WITH new AS ({insert}{conflict} DO NOTHING RETURNING key_sha) "
            "SELECT string_agg(key_sha, ''::bytea) FROM new"
        )
        self._replace = insert + conflict + f" DO UPDATE SET {assign}"
        columns = ", ".join(column.name for column in self.semantic)
        # sub-selects hide the numbers from the planner: for a tenant or generation that is newer than
        # its statistics it expects one row, and then any index with that prefix looks as good as the key
        scope = "tenant_id = (SELECT %s::int) AND generation = (SELECT %s::int)"
        self.select = f"SELECT key, row_hash, log_seq, {columns} FROM {self.name} WHERE {scope}"
        # one look-up per key: a list of keys would be a filter on whatever index was chosen
        self.load_sql = (
            "SELECT r.* FROM unnest(%b::bytea[]) AS wanted(sha) CROSS JOIN LATERAL ("
            f"{self.select} AND key_sha = wanted.sha OFFSET 0) AS r"
        )
        self._loaders = [(3 + index, column.name, column.load) for index, column in enumerate(self.semantic)]

    def read(self, rows: Iterable[Sequence[Any]]) -> Iterable[Found]:
        """Rows of a query that starts with `select`."""
        loaders = self._loaders
        for raw in rows:
            row = {name: raw[index] if load is None else load(raw[index]) for index, name, load in loaders}
            yield Found(raw[0], bytes(raw[1]), raw[2], row)

    def load(self, generation: int, keys: Iterable[str]) -> dict[str, Found]:
        """The rows of these keys that exist."""
        shas = arrays.byteas(key_sha(key) for key in keys)
        with arrays.cursor() as cursor:
            cursor.execute(self.load_sql, (shas, current_tenant_id(), generation))
            return {found.key: found for found in self.read(cursor)}

    def columns(self, changes: Sequence[Change]) -> list[arrays.Array]:
        """Rows as the columns they are sent in; at least one row."""
        # In steps that are spent in C: a rebuild writes tens of thousands of rows a second.
        keys, shas, hashes, log_seqs, rows = zip(*changes, strict=True)
        values: dict[str, Sequence[Any]] = {"key": keys, "row": rows}
        values.update(zip(self.table.columns, zip(*map(self._pick, rows), strict=True), strict=True))
        for column, derive in zip(self.derived, self._derive, strict=True):
            values[column.name] = list(map(derive.compute, *(values[source] for source in derive.sources)))
        found = [arrays.texts(keys), arrays.byteas(shas), arrays.byteas(hashes), arrays.bigints(log_seqs)]
        for column in (*self.semantic, *self.derived):
            column_values: Iterable[Any] = values[column.name]
            if column.prepare is not None:
                column_values = map(column.prepare, column_values)
            found.append(column.encode(column_values))
        return found

    def write(
        self, generation: int, changes: Sequence[Change], columns: Sequence[arrays.Array] | None = None
    ) -> set[bytes] | None:
        """Write rows, whose `columns` may be made already. For a ``FIRST`` table: the key hashes that were
        new; else None."""
        if not changes:
            return set() if self.table.merge is Merge.FIRST else None
        statement = {Merge.REPLACE: self._replace, Merge.APPEND: self._append, Merge.FIRST: self._first}
        with arrays.cursor() as cursor:
            cursor.execute(
                statement[self.table.merge],
                (current_tenant_id(), generation, *(columns or self.columns(changes))),
            )
            if self.table.merge is not Merge.FIRST:
                return None
            (new,) = cursor.fetchone() or (None,)
            return set() if new is None else {new[start : start + 32] for start in range(0, len(new), 32)}

    def overwrite(self, generation: int, changes: Sequence[Change]) -> None:
        """Write rows whatever is there: for a late event that comes before what made them."""
        if changes:
            with arrays.cursor() as cursor:
                cursor.execute(self._replace, (current_tenant_id(), generation, *self.columns(changes)))


class BoundRule:
    """A rule with its tables."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.name = rule.name
        self.tables = {table.name: BoundTable(table, TABLES[rule.name, table.name]) for table in rule.tables}
        self.reads_rows = any(table.merge is Merge.REPLACE for table in rule.tables)
        self.wants_history = bool(rule.history_types)
        self.folds_alone = not self.reads_rows and not self.wants_history
        """Whether it folds from an event alone, so that a batch can be folded before the last is written."""


BOUND: dict[str, BoundRule] = {name: BoundRule(rule) for name, rule in RULES.items()}
"""Every projection, in the console's order."""
