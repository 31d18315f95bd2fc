"""What a rebuild put in place is known to the planner at once."""

from __future__ import annotations

import psycopg
import pytest

from decisiongraph.stack.endpoints import endpoints
from projections import engine
from projections.engine import generations
from replays import services
from tests.projections.desk import Desk
from tests.replays.drive import run

pytestmark = pytest.mark.django_db


def test_searches_find_their_index_as_soon_as_a_rebuild_is_in(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, stack_environ: dict[str, str]
) -> None:
    """Statistics know the new generation and no word waits to be sorted in, without waiting for the vacuum."""
    desk.fill(12)
    desk.catch_up()
    run(desk, "trace_summary", "rebuild")

    def pages_waiting() -> int:
        with psycopg.connect(endpoints(stack_environ).database_url_owner) as owner:
            (pages,) = owner.execute("SELECT gin_clean_pending_list('projections_trace_words')").fetchone() or (0,)
        return int(pages)

    assert engine.settle(desk.tenant) == 0, "small tenants need it not"
    monkeypatch.setattr(generations, "SETTLED_FROM", 1)
    with psycopg.connect(endpoints(stack_environ).database_url_owner) as owner:
        owner.execute("LOCK TABLE projections_tracesummary IN SHARE UPDATE EXCLUSIVE MODE")
        assert engine.settle(desk.tenant) == 0, "who holds the table is not waited for forever"
    assert engine.settle(desk.tenant) == 1
    assert pages_waiting() == 0
    assert engine.settle(desk.tenant) == 0, "once is enough"
    run(desk, "trace_summary")
    assert engine.settle(desk.tenant) == 0, "nothing was promoted"
    assert pages_waiting() > 0, "the control: rows that came since wait"
    run(desk, "all", "rebuild")
    while services.sweep(desk.tenant):
        pass
    assert engine.settle(desk.tenant) == 0, "clearing away had it done"
    assert pages_waiting() == 0
