"""Generations: beginning one, comparing two, flipping readers over, deleting the loser."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

from django.db import connection

from decisiongraph.core.db import arrays, current_tenant_id, tenant_tx
from projections.domain.digest import Buckets, CanonicalDigest, row_hash
from projections.engine.tables import BOUND, BoundRule, BoundTable, Found
from projections.models import Checkpoint, DeadLetter, DigestBucket, Generation, RecordedDigest
from tenants.models import Tenant

DELETE_BATCH = 20_000
"""Rows of a retired generation deleted in one transaction."""
SETTLED_FROM = 5_000
"""Events from which on it is worth to let the planner know a promoted generation at once."""

Keys = dict[str, set[bytes]]
"""Table -> key hashes."""


class Mismatch(NamedTuple):
    """A row whose content does not have the hash it was stored with."""

    table: str
    key: str
    log_seq: int


def begin(tenant: Tenant, projection: str) -> int:
    """Make an empty generation beside the live one; its number."""
    with tenant_tx(tenant):
        with connection.cursor() as cursor:  # two that begin at once would both count on from the same last one
            cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [tenant.pk, f"generation:{projection}"])
        last = Generation.objects.filter(projection=projection).order_by("-number").first()
        number = last.number + 1 if last is not None else 1
        Generation.objects.create(
            tenant_id=tenant.pk,
            projection=projection,
            number=number,
            rule_version=BOUND[projection].rule.version,
        )
        Checkpoint.objects.create(tenant_id=tenant.pk, projection=projection, generation=number)
    return number


def promote(tenant: Tenant, projection: str, *, old: int, new: int, at: Any) -> None:
    """Let readers use the new generation. The caller holds both cursor rows."""
    with tenant_tx(tenant):
        Checkpoint.objects.filter(projection=projection, generation=old).update(active=False)
        Checkpoint.objects.filter(projection=projection, generation=new).update(active=True)
        Generation.objects.filter(projection=projection, number=old).update(state=Generation.RETIRED)
        Generation.objects.filter(projection=projection, number=new).update(state=Generation.ACTIVE, promoted_at=at)


def retire(tenant: Tenant, projection: str, number: int) -> None:
    """Give up a generation that is not live; it is deleted in batches."""
    with tenant_tx(tenant):
        Generation.objects.filter(projection=projection, number=number).exclude(state=Generation.ACTIVE).update(
            state=Generation.RETIRED
        )


def settle(tenant: Tenant) -> int:
    """Let the planner know what was promoted since it last looked; how many tables that took.

    Without it searches of a large tenant take several times as long until the vacuum comes by.
    """
    looked_at = 0
    with tenant_tx(tenant):
        large = Checkpoint.objects.filter(active=True, cursor__gte=SETTLED_FROM).values("projection")
        won = Generation.objects.filter(state=Generation.ACTIVE, number__gt=1, projection__in=large)
        names = list(won.values_list("projection", flat=True))
    for name in names:
        tables = [table.name for table in BOUND[name].tables.values()]
        with tenant_tx(tenant), connection.cursor() as cursor:
            cursor.execute("SELECT settle_rows(%s, %s)", [name, tables])
            looked_at += cursor.fetchone()[0]
    return looked_at


def delete_some(tenant: Tenant, projection: str, number: int, *, limit: int = DELETE_BATCH) -> bool:
    """Delete up to ``limit`` rows per table of a retired generation; True when nothing is left."""
    bound = BOUND[projection]
    with tenant_tx(tenant), connection.cursor() as cursor:
        held = (
            Generation.objects.select_for_update(skip_locked=True)
            .filter(projection=projection, number=number, state=Generation.RETIRED)
            .first()
        )
        if held is None:
            return False
        left = 0
        for table in bound.tables.values():
            cursor.execute(
                f"DELETE FROM {table.name} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table.name} "
                "WHERE tenant_id = %s AND generation = %s LIMIT %s))",
                [current_tenant_id(), number, limit],
            )
            left += int(cursor.rowcount == limit)
        if left:
            return False
        Checkpoint.objects.filter(projection=projection, generation=number, active=False).delete()
        DigestBucket.objects.filter(projection=projection, generation=number).delete()
        DeadLetter.objects.filter(projection=projection, generation=number).delete()
        held.state = Generation.DELETED
        held.save(update_fields=["state"])
    return True


# --- digests of what is stored -------------------------------------------------------------------


def buckets(projection: str, generation: int) -> Buckets:
    """The live digest as it was maintained."""
    sums = Buckets()
    rows = DigestBucket.objects.filter(projection=projection, generation=generation)
    for bucket, total in rows.values_list("bucket", "total"):
        sums.sums[bucket] = int.from_bytes(total, "big")
    return sums


def scan(bound: BoundRule, generation: int, *, chunk: int = 5_000) -> Iterator[tuple[BoundTable, Found]]:
    """Every row in (table, key) order, a chunk at a time, from the snapshot of this transaction."""
    for name in sorted(bound.tables):
        table = bound.tables[name]
        with connection.cursor() as cursor:
            cursor.execute(
                f'DECLARE dg_scan NO SCROLL CURSOR FOR {table.select} ORDER BY key COLLATE "C"',
                [current_tenant_id(), generation],
            )
        while True:
            with arrays.cursor() as reader:
                rows = reader.execute(f"FETCH {chunk} FROM dg_scan".encode()).fetchall()
            if not rows:
                break
            for found in table.read(rows):
                yield table, found
        with connection.cursor() as cursor:  # after a failure the transaction's end closes it
            cursor.execute("CLOSE dg_scan")


def canonical(projection: str, generation: int) -> str:
    """The canonical digest of a generation, from its rows."""
    digest = CanonicalDigest()
    for table, found in scan(BOUND[projection], generation):
        digest.feed(table.table, found.key, found.log_seq, found.row)
    return digest.digest()


def record_digests(tenant: Tenant, fresh: Sequence[RecordedDigest]) -> None:
    """Keep digests that were computed: whoever asks at this position next gets them at once."""
    if not fresh:
        return
    with tenant_tx(tenant):
        for row in fresh:
            row.tenant_id = tenant.pk
        RecordedDigest.objects.bulk_create(fresh, ignore_conflicts=True)


def scrub_bucket(projection: str, generation: int, bucket: int, secret: bytes) -> tuple[bool, list[Mismatch]]:
    """Recompute one bucket from its rows: whether its sum is right, and which rows are not."""
    sums = Buckets()
    wrong: list[Mismatch] = []
    low = bytes([bucket])
    for name, table in BOUND[projection].tables.items():
        where, arguments = " AND key_sha >= %s", [current_tenant_id(), generation, low]
        if bucket < 255:
            where, arguments = where + " AND key_sha < %s", [*arguments, bytes([bucket + 1])]
        with arrays.cursor() as cursor:
            rows = cursor.execute((table.select + where).encode(), arguments).fetchall()
        for found in table.read(rows):
            hashed = row_hash(secret, table.table, found.key, found.log_seq, found.row)
            sums.add(low, hashed)
            if hashed != found.row_hash:
                wrong.append(Mismatch(name, found.key, found.log_seq))
    stored = (
        DigestBucket.objects.filter(projection=projection, generation=generation, bucket=bucket)
        .values_list("total", flat=True)
        .first()
    )
    total = int.from_bytes(stored, "big") if stored is not None else 0
    return total == sums.sums[bucket], wrong


# --- comparing -------------------------------------------------------------------------------------


def _differing_sql(table: BoundTable) -> str:
    """Key hashes of a range of keys whose rows are not the same in two generations."""
    columns = ["key", "log_seq", *(column.name for column in table.semantic)]
    mine = ", ".join(f"a.{name}" for name in columns)
    theirs = ", ".join(f"b.{name}" for name in columns)
    part = (
        f"(SELECT * FROM {table.name} WHERE tenant_id = (SELECT %s::int) AND generation = (SELECT %s::int) "
        "AND key_sha >= %s AND key_sha < %s OFFSET 0)"
    )
    return (
        f"SELECT COALESCE(a.key_sha, b.key_sha) FROM {part} a FULL JOIN {part} b "
        f"ON a.key_sha = b.key_sha WHERE ROW({mine}) IS DISTINCT FROM ROW({theirs})"
    )


def _bound(part: int, parts: int) -> bytes:
    """The least key hash of a piece of the key space; for the one after the last a bound above them all."""
    return b"\xff" * 33 if part >= parts else bytes([part * 256 // parts])


def suspects(
    tenant: Tenant,
    projection: str,
    live: int,
    shadow: int,
    *,
    chunks: int = 4,
    beat: Callable[[], None] = lambda: None,
) -> Keys:
    """Keys whose rows differ right now: candidates only, both generations may still move.

    Compared by content, in ranges of the key space, a short transaction each; of several ranges two at a
    time, for one connection keeps one processor of the database busy.
    """
    edges = [_bound(index, chunks) for index in range(chunks + 1)]
    tables = BOUND[projection].tables
    pieces = [(name, low, high) for name in tables for low, high in pairwise(edges)]
    found: Keys = {name: set() for name in tables}

    def look(piece: tuple[str, bytes, bytes]) -> set[bytes]:
        name, low, high = piece
        return _differing(tenant, tables[name], (live, shadow), (low, high))

    def look_apart(piece: tuple[str, bytes, bytes]) -> set[bytes]:
        try:
            return look(piece)
        finally:
            connection.close()  # this thread's own, back to the pool

    with ThreadPoolExecutor(2, thread_name_prefix="dg-compare") as pool:
        answers = pool.map(look_apart, pieces) if chunks > 1 else map(look, pieces)
        for (name, _low, _high), hits in zip(pieces, answers, strict=True):
            found[name] |= hits
            beat()
    return found


def _differing(
    tenant: Tenant, table: BoundTable, generations: tuple[int, int], keys: tuple[bytes, bytes]
) -> set[bytes]:
    """Key hashes of a range, its end excluded, whose rows are not the same in two generations."""
    live, shadow = generations
    with connection.wrap_database_errors, tenant_tx(tenant), arrays.cursor() as cursor:
        number = current_tenant_id()
        # In the order of the index each row would be a page of its own.
        cursor.execute(b"SET LOCAL enable_indexscan = off")
        cursor.execute(_differing_sql(table).encode(), (number, live, *keys, number, shadow, *keys))
        return {bytes(row[0]) for row in cursor}


def rows_of(table: BoundTable, generation: int, shas: Collection[bytes], *, chunk: int = 10_000) -> Iterator[Found]:
    """The rows with these key hashes in key order."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"DECLARE dg_rows_{generation} NO SCROLL CURSOR FOR {table.load_sql.replace('%b', '%s')} "
            'ORDER BY r.key COLLATE "C"',
            [list(shas), current_tenant_id(), generation],
        )
    while True:
        with arrays.cursor() as reader:
            rows = reader.execute(f"FETCH {chunk} FROM dg_rows_{generation}".encode()).fetchall()
        if not rows:
            break
        yield from table.read(rows)
    with connection.cursor() as cursor:
        cursor.execute(f"CLOSE dg_rows_{generation}")


def merge_keys(into: Keys, more: Mapping[str, Sequence[bytes] | set[bytes]]) -> None:
    """Add key hashes by table."""
    for name, keys in more.items():
        into.setdefault(name, set()).update(keys)
