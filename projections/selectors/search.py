"""Finding traces by words and exact values: first the keys, then the rows.

Row-level security keeps inverted indexes from the app's role, so a function of the finder answers
keys. Few keys: the rows are read by them. More than `MOST`: the value is common, and walking the
list and looking at each row finds a page soon.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.db import OperationalError, connection
from django.db.models import QuerySet
from psycopg import errors as pg

from decisiongraph.core.db import current_tenant_id, tenant_tx
from decisiongraph.core.errors import Problem
from projections.domain import query as language
from projections.domain import words
from projections.domain.query import Query, Text
from projections.models import Checkpoint
from projections.selectors.freshness import Reading
from tenants.models import Tenant

MOST = 1_000
"""Keys a look-up answers at most."""
LONGEST_MS = 3_000
"""A search that takes longer is stopped."""

NARROWER = (
    "Narrow it: add workflow:, outcome:, policy: or actor:, a shorter time with after: and before:, or a rarer word."
)
WORDS, PARTS, SPELLING = "words", "parts", "spelling"
"""How texts were found: as words; as parts of ids, titles and entities; by similar spelling."""


class Wanted(NamedTuple):
    """What narrows a search by an index."""

    tags: tuple[tuple[str, str], ...] = ()
    """(``workflow``, ``outcome``, ``policy`` or ``actor``, value)."""
    texts: tuple[Text, ...] = ()
    status: str | None = None


class Narrowed(NamedTuple):
    """Which rows to look at."""

    keys: list[bytes] | None = None
    """These and no others; None: too many to name."""
    condition: str = ""
    """What each row must be asked where there are no keys; SQL, with ``parameters``."""
    parameters: tuple[Any, ...] = ()
    found: str = WORDS

    def apply(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows narrowed."""
        if self.keys is not None:
            return rows.filter(key_sha__in=self.keys)
        if self.condition:
            return rows.extra(where=[self.condition], params=list(self.parameters))
        return rows


def checked(text: str) -> Query:
    """The query a text means. 400 ``query.malformed`` with the place of every fault."""
    parsed = language.parse(text)
    if parsed.faults:
        raise Problem(
            "query.malformed",
            400,
            "The search is not understood. " + parsed.faults[0].detail,
            errors=[
                {"path": f"q[{fault.start}:{fault.end}]", "code": fault.code, "detail": fault.detail}
                for fault in parsed.faults
            ],
        )
    return parsed.query


@contextmanager
def bounded(tenant: Tenant, narrower: str = NARROWER) -> Iterator[None]:
    """A search: a statement is stopped after `LONGEST_MS`, to the end of the transaction.

    Raises 422 ``search.too_broad``; nothing else can be asked of the transaction then.
    """
    with tenant_tx(tenant):
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(LONGEST_MS)])
        try:
            yield
        except OperationalError as error:
            if isinstance(error.__cause__, pg.QueryCanceled):
                raise Problem(
                    "search.too_broad",
                    422,
                    f"This search looked for 3 s and was stopped. {narrower}",
                ) from None
            raise


def narrow(seen: Reading, wanted: Wanted) -> Narrowed:
    """Which rows can match. Inside the transaction of the reading."""
    tags = " & ".join(words.quoted(words.tag(name, value)) for name, value in wanted.tags)
    queries = [words.tsquery(text.text, exact=text.exact) for text in wanted.texts]
    made = [query for query in queries if query]
    if not tags and not wanted.texts:
        return Narrowed()
    if len(made) < len(wanted.texts):  # signs without a letter or digit: only as parts
        return _similar(seen, wanted.texts)
    text = " & ".join(made)
    texts = _generation("precedent_index")
    keys = _ask(
        "SELECT DISTINCT dg_find_traces(%s, %s, %s, %s, %s, %s, %s)",
        [current_tenant_id(), seen.generation, texts, tags, text, wanted.status or "", MOST + 1],
    )
    if len(keys) > MOST:
        return _each_row(text, texts)
    if keys or not text:
        return Narrowed(keys)
    return _similar(seen, wanted.texts)


def keys_of_value(seen: Reading, name: str, prefix: str, *, without: Sequence[str], most: int) -> list[bytes]:
    """Some traces with a value of a filter that begins so and is none of those known. Inside the transaction."""
    kind, _, ident = prefix.partition("/")
    if name == "entity" and ident:
        pattern = f"%{_literal(words.normal(ident))}%"
        return _ask(
            "SELECT DISTINCT dg_similar_traces(%s, %s, %s, %s, %s, %s)",
            [current_tenant_id(), seen.generation, pattern, [], "", most],
        )
    if name == "entity":
        said = words.tsquery(kind, exact=False)
        return _find(seen, said, most) if said else []
    begins = f"{words.quoted(words.tag(name, prefix))}:*"
    others = "".join(f" & !{words.quoted(words.tag(name, value))}" for value in without)
    return _find(seen, begins + others, most)


def _find(seen: Reading, tags: str, most: int) -> list[bytes]:
    return _ask(
        "SELECT DISTINCT dg_find_traces(%s, %s, %s, %s, %s, %s, %s)",
        [current_tenant_id(), seen.generation, 0, tags, "", "", most],
    )


def _each_row(text: str, texts: int) -> Narrowed:
    """Plain filters know the tags; the text is asked of each row and of what its decision says or said so far."""
    if not text:
        return Narrowed()
    return Narrowed(
        None,
        "(projections_tracesummary.words @@ %s::tsquery OR EXISTS (SELECT 1 FROM projections_precedenttext t "
        "WHERE t.tenant_id = (SELECT %s::int) AND t.generation = (SELECT %s::int) "
        "AND t.trace_sha = projections_tracesummary.key_sha AND t.words @@ %s::tsquery) "
        "OR (projections_tracesummary.status = 'open' AND EXISTS (SELECT 1 FROM projections_opentext o "
        "WHERE o.tenant_id = (SELECT %s::int) AND o.trace_sha = projections_tracesummary.key_sha "
        "AND o.words @@ %s::tsquery)))",
        (text, current_tenant_id(), texts, text, current_tenant_id(), text),
    )


def _similar(seen: Reading, texts: Sequence[Text]) -> Narrowed:
    """No row has the words: part of an id, a title or an entity, or spelt almost so."""
    folded = sorted((words.normal(text.text).strip() for text in texts), key=len, reverse=True)
    patterns = [f"%{_literal(each)}%" for each in folded]
    ask = "SELECT DISTINCT dg_similar_traces(%s, %s, %s, %s, %s, %s)"
    known = [current_tenant_id(), seen.generation]
    keys = _ask(ask, [*known, patterns[0], patterns[1:], "", MOST + 1])
    if keys:
        each_row = "projections_tracesummary.handle LIKE ALL (%s)"
        return Narrowed(keys, found=PARTS) if len(keys) <= MOST else Narrowed(None, each_row, (patterns,), PARTS)
    spelt = " ".join(folded)
    if len(spelt) < 4 or any(text.exact for text in texts):
        return Narrowed([], found=PARTS)
    keys = _ask(ask, [*known, "", [], spelt, MOST + 1])
    each_row = "%s <%% projections_tracesummary.handle"
    return Narrowed(keys, found=SPELLING) if len(keys) <= MOST else Narrowed(None, each_row, (spelt,), SPELLING)


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _ask(sql: str, parameters: list[Any]) -> list[bytes]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [bytes(row[0]) for row in cursor.fetchall() if row[0] is not None]


def _generation(projection: str) -> int:
    found = Checkpoint.objects.filter(projection=projection, active=True).values_list("generation", flat=True).first()
    return found or 0
