"""Real data comes in by the command and its facts come out through the public API.

Nothing here looks into the database or at the importers: what is asserted is what a client sees.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from projections import engine
from tests.factories import TenantFactory, make_token
from tests.traces.importers.shared import MAPPINGS, SHARED, needs_data

pytestmark = [needs_data, pytest.mark.django_db, pytest.mark.slow]


class Api:
    """A program with a token for a tenant that an import has filled."""

    def __init__(self, client: Any) -> None:
        self.tenant = TenantFactory()
        _, text = make_token(self.tenant, "read")
        self.client = client
        self.headers = {"Authorization": f"Bearer {text}"}

    def load(self, kind: str, *paths: str, mapping: str = "") -> str:
        """Import, let the projections follow, and give the report."""
        out = StringIO()
        options = ["--mapping", str(MAPPINGS / mapping)] if mapping else []
        call_command(
            "import_traces", "--tenant", self.tenant.slug, "--format", kind, *options,
            *[str(SHARED / path) for path in paths], stdout=out, stderr=StringIO(),
        )  # fmt: skip
        while engine.catch_up(self.tenant).events:
            pass
        return out.getvalue()

    def get(self, path: str) -> dict[str, Any]:
        """A 200 answer."""
        answer = self.client.get(f"/api/v1{path}", headers=self.headers)
        assert answer.status_code == 200, answer.content
        body: dict[str, Any] = answer.json()
        return body

    def items(self, path: str) -> Iterator[dict[str, Any]]:
        """Every item of a list, page by page."""
        joint = "&" if "?" in path else "?"
        following = ""
        while True:
            page = self.get(f"{path}{joint}limit=500{following}")
            yield from page["items"]
            if page["next"] is None:
                return
            following = f"&cursor={page['next']}"


def test_loan_applications(client: Any) -> None:
    """BPI 2012: 13,087 cases, 262,200 events, four outcomes, the sum of the amounts."""
    api = Api(client)
    api.load("xes", "bpi/bpic2012.xes.gz", mapping="bpic2012.toml")
    outcomes: Counter[str | None] = Counter()
    amount = events = 0
    for trace in api.items("/traces"):
        outcomes[trace["outcome"]] += 1
        amount += trace["context"]["amount"]
        ends = trace["status"] == "finished"
        events += trace["event_count"] - 1 - ends
    assert outcomes == {"success": 2246, "failure": 7635, "abandoned": 2807, None: 399}
    assert (sum(outcomes.values()), amount, events) == (13_087, 177_634_511, 262_200)
    health = api.get("/projections/health")
    assert (health["state"], health["head"]) == ("fresh", 262_200 + 13_087 + 13_087 - 399)


def test_building_permits(client: Any) -> None:
    """Receipts: late, in time and open from the context; a second import changes nothing."""
    api = Api(client)
    for _ in range(2):
        api.load("csv", "bpi/receipt.csv", mapping="receipt.toml")
    late = in_time = still_open = tagged = 0
    for trace in api.items("/traces"):
        context = trace["context"]
        if "end_date" not in context:
            still_open += 1
        elif datetime.fromisoformat(context["end_date"]) > datetime.fromisoformat(context["deadline"]):
            late += 1
        else:
            in_time += 1
    people = set()
    for event in api.items("/events"):
        if "source-event" in event["tags"]:
            tagged += 1
            if event["actor"]["actor_type"] == "person":
                people.add(event["actor"]["actor_id"])
    assert (late, in_time, still_open) == (377, 952, 105)
    assert (tagged, len(people)) == (8_577, 48)


def test_airline_desk(client: Any) -> None:
    """tau-bench: outcomes, calls, errors, hand-overs."""
    api = Api(client)
    api.load("chat", "taubench/gpt-4o-airline.json", mapping="taubench-airline.toml")
    outcomes: Counter[str | None] = Counter()
    counts: Counter[str] = Counter()
    for trace in api.items("/traces"):
        outcomes[trace["outcome"]] += 1
        counts.update(trace["context"]["source_counts"])
    assert outcomes == {"success": 84, "failure": 116}
    assert counts["messages"] == 5308
    assert (counts["tool_calls"], counts["tool_errors"]) == (1164, 73)
    assert (counts["state_changing_actions"], counts["handovers"]) == (250, 48)
    asked = sum(1 for _ in api.items("/events?type=ExceptionRequested"))
    failed = sum(e["payload"]["status"] == "failure" for e in api.items("/events?type=ActionCommitted"))
    assert (asked, failed) == (48, 73)


def test_agent_frameworks_and_telemetry(client: Any) -> None:
    """Ten frameworks' exports and the official OTLP examples all import, nothing refused."""
    api = Api(client)
    names = sorted(path.name for path in (SHARED / "agent-traces").glob("*.json"))
    assert len(names) == 10
    api.load("agent-trace", *(f"agent-traces/{name}" for name in names))
    api.load("otel", *(f"otel/{name}" for name in ("events.json", "logs.json", "trace.json")))
    traces = list(api.items("/traces"))
    assert len(traces) == 13
    observed = sum(trace["context"]["source_counts"].get("observations", 0) for trace in traces)
    kept = sum("raw" in event["payload"] for event in api.items("/events") if event["origin"] == "import")
    assert kept >= observed > 0
