"""The inbox is read along its index, however much is open."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals.models import Delegation, Item
from approvals.selectors import items as selectors
from decisiongraph.core.db import tenant_tx
from decisiongraph.stack.endpoints import endpoints
from tests.approvals.house import Hands, House
from tests.approvals.plans import blocks_of

pytestmark = pytest.mark.django_db

OPEN, OVER = 800, 1_600
LITTLE, MUCH = 400, 3_600
PIECE = 800

_MANY = """
INSERT INTO approvals_item SELECT (jsonb_populate_record(i, jsonb_build_object(
    'id', gen_random_uuid(), 'trace_id', 't-' || n, 'version', 1,
    'status', CASE WHEN n <= %(open)s THEN 'requested' ELSE 'approved' END,
    'assignee', CASE WHEN n %% 50 = 0 AND n <= %(hers)s THEN %(rita)s ELSE '' END,
    'holder', CASE WHEN n %% 50 = 1 AND n <= %(hers)s THEN %(rita)s ELSE '' END,
    'reviewers', to_jsonb(ARRAY[CASE WHEN n %% 50 = 2 AND n <= %(hers)s THEN %(rita)s ELSE 'user:else' END, 'user:x']),
    'due_at', now() + make_interval(secs => n), 'sort_at', now() + make_interval(secs => n)))).*
FROM approvals_item i, generate_series(%(first)s, %(last)s) AS n WHERE i.id = %(model)s
"""


def crowd(house: House, still_open: int = OPEN, over: int = OVER) -> House:
    """Copies of one item: some open among many that are over; of each fifty open ones three are Rita's."""
    model = house.ask()
    house.decide(model)
    _copy(house, model, 1, still_open + over, still_open=still_open, hers=still_open)
    return house


def _copy(house: House, model: Item, begin: int, end: int, *, still_open: int, hers: int) -> None:
    told = {"open": still_open, "hers": hers, "rita": house.rita.ident, "model": model.pk}
    for first in range(begin, end + 1, PIECE):
        with tenant_tx(house.tenant), connection.cursor() as cursor:
            cursor.execute(_MANY, told | {"first": first, "last": min(first + PIECE - 1, end)})


@pytest.fixture
def crowded(house: House) -> House:
    """A full inbox, without statistics of this tenant."""
    return crowd(house)


def plan(house: House, asked: selectors.Wanted, after: selectors.Place | None, word: str = "approvals_item") -> str:
    """The plan of the statement with this word that the selector sends."""
    with tenant_tx(house.tenant):
        with CaptureQueriesContext(connection) as seen:
            selectors.inbox(house.tenant, asked, after=after, limit=100)
        statement = next(query["sql"] for query in seen.captured_queries if word in query["sql"])
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) " + statement)
            return "\n".join(row[0] for row in cursor.fetchall())


def test_the_first_and_a_later_page(crowded: House) -> None:
    first = selectors.inbox(crowded.tenant, limit=100)
    later = selectors.Place(first[99].sort_at, first[99].pk)
    anything = selectors.Wanted()
    for asked, after in ((anything, None), (anything, later), (selectors.Wanted(overdue=False), None)):
        found = plan(crowded, asked, after)
        assert "approvals_item_inbox" in found, found
        assert "Sort" not in found, found
        assert "Seq Scan" not in found, found


@pytest.fixture(scope="module")
def inboxes(django_db_setup: None, django_db_blocker: pytest.Blocker) -> tuple[House, House]:
    """Two with as much for Rita and little or much for others, after an ANALYZE; these tests only read them."""
    found = []
    with django_db_blocker.unblock():
        for others in (LITTLE, MUCH):
            house = House()
            model = house.ask()
            house.decide(model)
            _copy(house, model, 1, others, still_open=others, hers=LITTLE)
            found.append(house)
        with psycopg.connect(endpoints(os.environ).database_url_admin, autocommit=True) as admin:
            admin.execute("ANALYZE approvals_item, approvals_delegation")
    return found[0], found[1]


@pytest.mark.parametrize("whose", ["mine", "assignee"])
def test_mine_reads_nobody_elses(inboxes: tuple[House, House], whose: str) -> None:
    """Nine times as much that waits for others costs the inbox of one person nothing but depth of an index."""

    def read(house: House) -> int:
        wanted = selectors.Wanted(**{whose: house.rita.ident})
        assert len(selectors.inbox(house.tenant, wanted)) == LITTLE // 50 * (3 if whose == "mine" else 2)
        with tenant_tx(house.tenant):
            listed = blocks_of(lambda: selectors.inbox(house.tenant, wanted), "item")
            return listed + blocks_of(lambda: selectors.count(house.tenant, wanted), "item")

    little, much = (read(house) for house in inboxes)
    # Each of her rows, in the list and in the count, costs a level or two more of the index, nothing else does.
    hers = LITTLE // 50 * (3 if whose == "mine" else 2)
    assert much - little <= 2 * 3 * hers


def test_whom_items_name_is_looked_up_once_whatever_the_planner_expects(house: House) -> None:
    """Looked up anew for every open item, as a join may do where statistics are old, it took longer than it may."""
    wanted = selectors.Wanted(mine=house.rita.ident)
    found = plan(house, wanted, None, "dg_items_naming")
    assert "InitPlan" in found, found


def test_mine_is_what_is_on_my_desk_whatever_the_way(house: House, hands: Hands) -> None:
    """Assigned, held, named and stood in for; each once, by deadline, page by page, decided ones when asked for."""
    items = [house.ask(ident=f"act-{number}") for number in range(7)]
    me = house.rita.ident

    def put(item: Item, **more: Any) -> None:
        with tenant_tx(house.tenant):
            Item.objects.filter(pk=item.pk).update(**more)

    put(items[0], assignee=me)
    put(items[1], holder=me, assignee=me)
    put(items[2], reviewers=["user:other", me])
    put(items[5], status="changes_requested", opened_by=me)
    put(items[6], opened_by=me)  # waits for others
    with tenant_tx(house.tenant):
        for item, days in ((items[3], 1), (items[4], -1)):
            begins, ends = hands.at - timedelta(days=2), hands.at + timedelta(days=days)
            Delegation.objects.create(
                tenant_id=house.tenant.pk, item_id=item.pk, delegator="user:x", delegate=me,
                starts_at=begins, ends_at=ends,
            )  # fmt: skip
    wanted = selectors.Wanted(mine=me)
    found = selectors.inbox(house.tenant, wanted)
    hers = sorted([*items[:4], items[5]], key=lambda row: (row.sort_at, row.pk))
    assert [row.pk for row in found] == [item.pk for item in hers]
    assert selectors.count(house.tenant, wanted) == 5
    first = selectors.inbox(house.tenant, wanted, limit=1)
    rest = selectors.inbox(house.tenant, wanted, after=selectors.Place(first[0].sort_at, first[0].pk))
    assert [row.pk for row in [first[0], *rest]] == [row.pk for row in found]
    put(items[2], status="approved")
    assert {row.pk for row in selectors.inbox(house.tenant, wanted)} == {items[at].pk for at in (0, 1, 3, 5)}
    decided = selectors.inbox(house.tenant, wanted._replace(status="approved"))
    assert [row.pk for row in decided] == [items[2].pk]
    assert selectors.count(house.tenant, wanted._replace(status="all")) == 5
