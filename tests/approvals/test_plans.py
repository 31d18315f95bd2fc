"""The inbox is read along its index, however much is open."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals.selectors import items as selectors
from decisiongraph.core.db import tenant_tx
from tests.approvals.house import House

pytestmark = pytest.mark.django_db

OPEN, OVER = 800, 1_600
PIECE = 800

_MANY = """
INSERT INTO approvals_item SELECT (jsonb_populate_record(i, jsonb_build_object(
    'id', gen_random_uuid(), 'trace_id', 't-' || n, 'version', 1,
    'status', CASE WHEN n <= %(open)s THEN 'requested' ELSE 'approved' END,
    'assignee', CASE WHEN n %% 50 = 0 THEN %(rita)s ELSE '' END,
    'due_at', now() + make_interval(secs => n), 'sort_at', now() + make_interval(secs => n)))).*
FROM approvals_item i, generate_series(%(first)s, %(last)s) AS n WHERE i.id = %(model)s
"""


def crowd(house: House, still_open: int = OPEN, over: int = OVER) -> House:
    """Copies of one item: some open among many that are over."""
    model = house.ask()
    house.decide(model)
    told = {"open": still_open, "rita": house.rita.ident, "model": model.pk}
    for first in range(1, still_open + over + 1, PIECE):
        with tenant_tx(house.tenant), connection.cursor() as cursor:
            cursor.execute(_MANY, told | {"first": first, "last": min(first + PIECE - 1, still_open + over)})
    return house


@pytest.fixture
def crowded(house: House) -> House:
    """A full inbox, without statistics of this tenant."""
    return crowd(house)


def plan(house: House, **asked: Any) -> str:
    """The plan of the statement the selector sends."""
    with tenant_tx(house.tenant):
        with CaptureQueriesContext(
            connection,
        ) as seen:
            selectors.inbox(house.tenant, **asked)
        statement = next(query["sql"] for query in seen.captured_queries if "approvals_item" in query["sql"])
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) " + statement)
            return "\n".join(row[0] for row in cursor.fetchall())


def test_the_first_and_a_later_page(crowded: House) -> None:
    first = selectors.inbox(crowded.tenant, limit=100)
    later = selectors.Place(first[99].sort_at, first[99].pk)
    for asked in ({}, {"after": later}, {"overdue": False}):
        found = plan(crowded, limit=100, **asked)
        assert "approvals_item_inbox" in found, found
        assert "Sort" not in found, found
        assert "Seq Scan" not in found, found


def test_one_persons_items(crowded: House) -> None:
    found = plan(crowded, limit=100, assignee=crowded.rita.ident)
    assert "Seq Scan" not in found, found
    assert len(selectors.inbox(crowded.tenant, mine=[crowded.rita.ident], limit=100)) == OPEN // 50
