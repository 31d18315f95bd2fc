"""What the search bar offers while somebody types: names of filters, then values this tenant has."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection

from decisiongraph.core.db import current_tenant_id
from projections.domain import query as language
from projections.selectors import search
from projections.selectors.freshness import Reading, reading
from tenants.models import Tenant

OFFERED = 8
"""Suggestions shown."""
RECENT = 2_000
"""Traces, the last moved first, whose values are counted: as many on a tenant of any size."""
OLDER = 400
"""Traces beyond them whose values are looked at."""

MEANING: dict[str, str] = {
    "workflow": "what kind of decision",
    "outcome": "how it ended",
    "status": "open or finished",
    "entity": "what it is about: type/id",
    "policy": "id, or id@version",
    "actor": "who took part: type/id",
    "after": "started at or after",
    "before": "started before",
    "range": "started in the last hours or days",
    "kind": "decisions, reviews or all",
}
"""What each filter is, in words for people."""

_POLICIES = """
    SELECT u.v FROM recent r CROSS JOIN LATERAL unnest(r.policies) AS p(name)
    CROSS JOIN LATERAL (VALUES (p.name), (regexp_replace(p.name, '@[^@]*$', ''))) AS u(v)
"""
_VALUES: dict[str, str] = {
    "workflow": "SELECT r.workflow AS v FROM recent r",
    "actor": "SELECT a.v FROM recent r CROSS JOIN LATERAL unnest(r.actors) AS a(v)",
    "policy": _POLICIES,
    "types": "SELECT r.primary_entity_type || '/' AS v FROM recent r",
    "entity": "SELECT r.primary_entity_type || '/' || r.primary_entity_id AS v FROM recent r",
}


class Suggestion(NamedTuple):
    """One line of the list."""

    text: str
    """What the bar holds up to the cursor when it is taken."""
    label: str
    detail: str
    whole: bool
    """A whole filter; otherwise its value comes next."""


def suggestions(tenant: Tenant, text: str, *, now: datetime) -> list[Suggestion]:
    """What may follow a text, up to `OFFERED`."""
    at = language.typing(text)
    if at is None:
        return []
    if not at.name:
        prefix = at.prefix.lower()
        return [
            Suggestion(f"{at.before}{name}:", f"{name}:", MEANING[name], False)
            for name in language.NAMES
            if name.startswith(prefix)
        ][: len(language.NAMES)]
    found = []
    for value, detail in _values(tenant, at.name, at.prefix, now):
        whole = not (at.name == "entity" and value.endswith("/"))
        written = language.written(at.name, value)
        found.append(Suggestion(f"{at.before}{written}" + " " * whole, value, detail, whole))
    return found


def _values(tenant: Tenant, name: str, prefix: str, now: datetime) -> list[tuple[str, str]]:
    if name in language.CHOICES:
        return [(choice, "") for choice in language.CHOICES[name] if choice.startswith(prefix.lower())]
    if name in ("after", "before"):
        days = ((0, "today"), (1, "yesterday"), (7, "a week ago"), (30, "30 days ago"), (90, "90 days ago"))
        offered = [(str((now - timedelta(days=ago)).date()), words) for ago, words in days]
        return [(day, words) for day, words in offered if day.startswith(prefix)]
    return _counted(tenant, name, prefix)


def _counted(tenant: Tenant, name: str, prefix: str) -> list[tuple[str, str]]:
    """Values of the latest traces by how common they are there, then, where there is room, of any other."""
    source = _VALUES["types" if name == "entity" and "/" not in prefix else name]
    with reading(tenant, "trace_summary") as seen, search.bounded(tenant):
        recent = f"kind = 'decision' ORDER BY last_log_seq DESC LIMIT {RECENT}"
        found = _values_of(seen, source, prefix, recent, [])
        offered = [(value, f"{number:,} recent") for value, number in found]
        if len(found) < OFFERED:
            known = [value for value, _ in found]
            keys = search.keys_of_value(seen, name, prefix, without=known, most=OLDER)
            more = _values_of(seen, source, prefix, "key_sha = ANY(%s) AND kind = 'decision'", [keys]) if keys else []
            offered += [(value, "older") for value, _ in more if value not in known]
    return offered[:OFFERED]


def _values_of(seen: Reading, source: str, prefix: str, which: str, parameters: list[Any]) -> list[tuple[str, int]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH recent AS MATERIALIZED (SELECT workflow, actors, policies, primary_entity_type, primary_entity_id "
            "FROM projections_tracesummary WHERE tenant_id = (SELECT %s::int) AND generation = (SELECT %s::int) "
            f"AND {which}) SELECT v, count(*) FROM ({source}) AS s WHERE v <> '' AND starts_with(lower(v), lower(%s)) "
            f"GROUP BY v ORDER BY count(*) DESC, v LIMIT {OFFERED}",
            [current_tenant_id(), seen.generation, *parameters, prefix],
        )
        return list(cursor.fetchall())
