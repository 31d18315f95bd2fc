"""The page of two traces beside each other: what was known and ruled differently, each step, the ends."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote, urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from pydantic import Field

from decisiongraph.core.api import Query, query_params
from decisiongraph.core.console import page
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.templatetags.dg.words import counted, duration
from tenants.access import console_view
from tenants.models import Tenant
from traces import selectors
from traces.console import changes
from traces.domain import story as stories
from traces.domain.align import Pair, differences
from traces.domain.compare import Comparison, FactRow, compare
from traces.domain.envelope import StoredEvent
from traces.domain.labels import face, text

STEPS = 150
"""Steps drawn at once."""
FACTS = 40
SHOWN = 4
"""Changes shown of one step; the rest is a link."""
QUIET = 3
"""From this many equal steps on a run of them is folded."""
_NO_TIME = "no time"


class CompareQuery(Query):
    """The state of the page: everything a link to it says."""

    left: str = Field(default="", max_length=200)
    right: str = Field(default="", max_length=200)
    show: Literal["all", "differences"] = "all"
    start: int = Field(default=0, ge=0, le=2**31 - 1)
    """First step of the window."""
    theme: str = ""


@console_view("read")
@require_GET
def compared(request: Any) -> HttpResponse:
    """Two traces; without a pair the form to choose one."""
    query = query_params(request, CompareQuery)
    tenant: Tenant = request.tenant
    crumbs = [{"label": "Traces", "url": f"/t/{tenant.slug}/traces"}, {"label": "Compare", "url": ""}]
    shown: dict[str, Any] = {"crumbs": crumbs, "query": query}
    with tenant_tx(tenant):
        if query.left and query.right:
            shown |= _pair(tenant, query)
        elif query.left or query.right:
            selectors.trace_extent(tenant, query.left or query.right)
    return render(request, "traces/compare.html", page(request, "traces", **shown))


class _Side:
    """One of the two traces."""

    def __init__(self, tenant: Tenant, trace_id: str) -> None:
        self.events = selectors.whole_trace(tenant, trace_id)
        self.extent = selectors.trace_extent(tenant, trace_id)
        self.base = f"/t/{tenant.slug}/traces/{quote(trace_id, safe='')}"
        milestones = [event for event in self.events if event.event_type in stories.MILESTONES]
        self.story = stories.tell(
            stories.Material(self.extent.first, self.extent.last, milestones, self.extent.counts, None)
        )
        self.trace_id = trace_id

    def link(self, event: StoredEvent) -> str:
        """The event on its trace's page."""
        return f"{self.base}?event={event.trace_seq}"

    def head(self) -> dict[str, Any]:
        """What names the trace; how it ended comes last on the page."""
        story = self.story
        return {
            "trace_id": self.trace_id,
            "url": self.base,
            "title": story.title or self.trace_id,
            "workflow": story.workflow or "no workflow",
            "entity": " ".join(filter(None, (story.entity_type, story.entity_id))) or "no entity",
            "agent": self.extent.first.actor_id,
            "started": self.extent.first.occurred_at,
        }


def _pair(tenant: Tenant, query: CompareQuery) -> dict[str, Any]:
    left, right = _Side(tenant, query.left), _Side(tenant, query.right)
    found = compare(left.events, right.events)
    base = f"/t/{tenant.slug}/compare"

    def address(**more: Any) -> str:
        values = {"left": query.left, "right": query.right} | more
        return f"{base}?{urlencode(values)}"

    counts = found.alignment.counts
    differing = counts["changed"] + counts["left"] + counts["right"]
    total = len(found.alignment.pairs)
    same = not (found.facts or found.policies or differing)
    actions = [
        {"label": "Swap sides", "icon": "compare", "url": address(left=query.right, right=query.left), "hotkey": "x"}
    ]
    shown: dict[str, Any] = {
        "sides": [(left.head(), "Left"), (right.head(), "Right")],
        "state": "match" if same else "open",
        "sentence": _sentence(found, differing, total, left, right),
        "hero_actions": actions,
        "policies": _policies(found),
        "facts": [_fact(row) for row in found.facts[:FACTS]],
        "more_facts": max(0, len(found.facts) - FACTS),
        "same_facts": found.same_facts,
        "counts": counts,
        "differing": differing,
        "total": total,
        "exact": found.alignment.exact,
        "cut": selectors.COMPARED if max(left.extent.size, right.extent.size) > selectors.COMPARED else 0,
        "ends": _ends(left, right),
        "shows": [
            (name, label, address() if name == "all" else address(show=name), query.show == name)
            for name, label in (("all", "All steps"), ("differences", "Differences"))
        ],
    }
    pairs = [pair for pair in found.alignment.pairs if query.show == "all" or pair.kind != "same"]
    window = pairs[query.start : query.start + STEPS]
    kept = {} if query.show == "all" else {"show": query.show}
    shown["blocks"] = _blocks(window, left, right)
    if query.start:
        shown["earlier_url"] = address(**kept, start=max(0, query.start - STEPS))
    if query.start + STEPS < len(pairs):
        shown["later_url"] = address(**kept, start=query.start + STEPS)
    return shown


def _sentence(found: Comparison, differing: int, total: int, left: _Side, right: _Side) -> str:
    """``They differ in 1 policy, 3 facts and 5 of 12 steps``"""
    parts = []
    if found.policies:
        parts.append("1 policy" if len(found.policies) == 1 else f"{len(found.policies):,} policies")
    if found.facts:
        parts.append(counted(len(found.facts), "fact"))
    if differing:
        parts.append(f"{differing:,} of {counted(total, 'step')}")
    if not parts:
        return "The same trace twice" if left.trace_id == right.trace_id else "Nothing that counts differs"
    listed = ", ".join(parts[:-1]) + (" and " if parts[1:] else "") + parts[-1]
    return f"They differ in {listed}"


def _policies(found: Comparison) -> list[dict[str, Any]]:
    def said(decided: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
        return [
            {"version": version, "decision": decision if decision != "exception asked" else "requested"}
            for version, decision in decided
        ]

    return [
        {
            "name": row.policy_id,
            "same": row.same,
            "sides": [{"tone": "was", "said": said(row.left)}, {"tone": "now", "said": said(row.right)}],
        }
        for row in (*found.policies, *found.same_policies)
    ]


def _fact(row: FactRow) -> dict[str, Any]:
    def said(values: tuple[Any, ...], tone: str) -> dict[str, Any] | None:
        if not values:
            return None
        texts = [changes.short(value, limit=240) for value in values[:3]]
        return {"tone": tone, "texts": texts, "more": max(0, len(values) - 3)}

    return {"name": row.name, "sides": [said(row.left, "was"), said(row.right, "now")], "shared": row.shared}


def _blocks(pairs: list[Pair], left: _Side, right: _Side) -> list[dict[str, Any]]:
    """Steps, with runs of equal ones folded."""
    blocks: list[dict[str, Any]] = []
    run: list[dict[str, Any]] = []

    def flush() -> None:
        if len(run) >= QUIET:
            blocks.append({"folded": True, "count": len(run), "steps": list(run)})
        elif run:
            blocks.append({"folded": False, "steps": list(run)})
        run.clear()

    for pair in pairs:
        step = _step(pair, left, right)
        if pair.kind == "same":
            run.append(step)
            continue
        flush()
        blocks.append({"folded": False, "steps": [step]})
    flush()
    return blocks


def _step(pair: Pair, left: _Side, right: _Side) -> dict[str, Any]:
    step: dict[str, Any] = {
        "kind": pair.kind,
        "left": _event(pair.left, left),
        "right": _event(pair.right, right),
        "key": f"{pair.left.trace_seq if pair.left else ''}-{pair.right.trace_seq if pair.right else ''}",
    }
    if pair.kind == "changed" and pair.left and pair.right:
        found = differences(pair.left, pair.right)
        step["changes"] = changes.rows(found.changes[:SHOWN])
        step["more"] = max(0, len(found.changes) - SHOWN)
        values = {"event": pair.left.trace_seq, "tab": "diff", "other": pair.right.trace_seq}
        step["diff_url"] = f"{left.base}?{urlencode(values | {'other_trace': right.trace_id})}"
    return step


def _event(event: StoredEvent | None, side: _Side) -> dict[str, Any] | None:
    if event is None:
        return None
    shown = face(event)
    return {
        "seq": event.trace_seq,
        "url": side.link(event),
        "event": event,
        "detail": shown.detail,
        "since": stories.elapsed(side.extent.first, event) / 1000,
    }


def _ends(left: _Side, right: _Side) -> list[dict[str, Any]]:
    """How both ended, field by field."""

    def field(name: str, one: str, other: str, state: bool = False) -> dict[str, Any]:
        return {"name": name, "left": one, "right": other, "same": one == other, "state": state}

    def took(side: _Side) -> str:
        return str(duration(side.story.total_ms / 1000)) if side.story.total_ms else _NO_TIME

    def summary(side: _Side) -> str:
        return text(side.extent.last.payload or {}, "summary") if side.story.finished else ""

    return [
        field("outcome", left.story.state, right.story.state, state=True),
        field("in words", left.story.sentence, right.story.sentence),
        field("summary", summary(left) or "none", summary(right) or "none"),
        field("duration", took(left), took(right)),
        field("events", f"{left.story.event_count:,}", f"{right.story.event_count:,}"),
    ]
