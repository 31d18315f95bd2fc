"""The head of a trace's page: its story, its facts, its actions, and as of which event all of it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from decisiongraph.core.bus import public_topic
from decisiongraph.core.errors import not_found
from decisiongraph.core.templatetags.dg.words import clock_time, counted, visible
from tenants.models import Tenant
from traces import selectors
from traces.console import changes
from traces.console.state import Address, Stretch, TraceQuery
from traces.domain import action
from traces.domain import story as stories
from traces.domain.envelope import StoredEvent
from traces.domain.labels import text
from traces.domain.moment import instant
from traces.domain.timeline import Timeline

MILESTONES = 100
"""Decisions that the story of a longer trace is told from: the latest ones."""
ACTIONS = 12
"""Actions shown; the latest ones, those that were not done as proposed first."""
DEVIATIONS = 6
"""Changes shown of one action."""
TICKS = 11
DRAWN = 24
DRAWN_TYPES = "trace,entity,policy,exception,action,actor"
"""Nodes of the small picture: the decisions and who took part, not every input."""


def head(
    request: Any,
    trace_id: str,
    stretch: Stretch,
    timeline: Timeline | None,
    query: TraceQuery,
    link: Address,
    at: int | None = None,
) -> dict[str, Any]:
    """The story, the facts, what became of the actions, and whether the page is live."""
    tenant: Tenant = request.tenant
    last = selectors.last_seq(tenant, trace_id)
    if query.as_of is not None and query.as_of > last:
        raise not_found("event", f"{trace_id} {query.as_of}")
    if timeline is not None:
        own = stretch.own
        counts: Mapping[str, int] = Counter(event.event_type for event in own)
        known = [event for event in own if event.event_type in stories.MILESTONES]
        material = stories.Material(own[0], own[-1], known, counts, timeline.people_ms)
    else:
        extent = selectors.trace_extent(tenant, trace_id, until=query.until)
        known = selectors.trace_milestones(tenant, trace_id, stories.MILESTONES, limit=MILESTONES, until=query.until)
        material = stories.Material(extent.first, extent.last, known, extent.counts, None)
    story = stories.tell(material)
    deep = f"{settings.PUBLIC_URL}{link(at)}"
    copy = {
        "label": "Copy hand-off",
        "icon": "copy",
        "clip": stories.hand_off(trace_id, story, material, deep),
        "copied": "Copied: what, who, policy, decision, outcome, link.",
    }
    return {
        "trace_id": trace_id,
        "story": story,
        "story_text": format_html_join("", "{}", ((_span(span, request.people),) for span in story.spans)),
        "title_word": story.title or trace_id,
        "facts": _facts(tenant, story, request.people),
        "hero_actions": [*_ways(tenant, trace_id, query, material.last), copy],
        "live_topic": "" if story.finished or query.as_of is not None else public_topic(tenant.slug, "trace", trace_id),
        "graph": _graph(tenant, trace_id, query, material.last),
        "cases": _cases(tenant, trace_id, query, material.last),
        "asof": _as_of(query, link, last, material.last),
        **actions(known, link),
        "head_url": link(at, part="head"),
        "span": between(material.first, material.last),
    }


def _span(span: stories.Span, names: Mapping[str, str]) -> SafeString:
    """``rita@example.org approved`` is ``Rita Moreau approved``; the story itself knows no names."""
    if not span.strong:
        return visible(span.text)
    who, space, did = span.text.partition(" ")
    return format_html("<b>{}</b>", visible(f"{names.get(who, who)}{space}{did}"))


def _facts(tenant: Tenant, story: stories.Story, names: Mapping[str, str]) -> list[dict[str, Any]]:
    facts: list[dict[str, Any]] = [
        {"label": fact.label, "value": fact.value, "detail": names.get(fact.detail, fact.detail), "state": fact.state}
        for fact in story.facts
    ]
    listing = f"/t/{tenant.slug}/traces"
    workflow: dict[str, Any] = {"label": "Workflow", "value": story.workflow or "not said"}
    if story.workflow:
        workflow["url"] = f"{listing}?{urlencode({'workflow': story.workflow})}"
    entity: dict[str, Any] = {"label": "Entity", "value": "not said"}
    if story.entity_type and story.entity_id:
        entity["value"] = f"{story.entity_type} {story.entity_id}"
        entity["url"] = f"{listing}?{urlencode({'entity': f'{story.entity_type}/{story.entity_id}'})}"
        entity["detail"] = f"{story.entity_system or 'local'}, see all its traces"
    facts[1:1] = [workflow, entity]
    return facts


def between(first: StoredEvent, last: StoredEvent) -> str:
    """``2026-03-14 09:41:07.112 to 10:22:40.655``, with the second date where it differs."""
    begin, end = instant(first.occurred_at), instant(last.occurred_at)
    if begin is None or end is None:
        return ""
    if begin == end:
        return f"{begin:%Y-%m-%d} {clock_time(begin, 3)}"
    if begin.date() == end.date():
        return f"{begin:%Y-%m-%d} {clock_time(begin, 3)} to {clock_time(end, 3)}"
    return f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"


def _ways(tenant: Tenant, trace_id: str, query: TraceQuery, last: StoredEvent) -> list[dict[str, str]]:
    """Where one goes from here; graph and precedents as of the same moment."""
    base = f"/t/{tenant.slug}"
    graph = _graph(tenant, trace_id, query, last)["url"]
    return [
        {"label": "Graph", "icon": "graph", "url": graph},
        {
            "label": "Precedents",
            "icon": "precedents",
            "url": _cases(tenant, trace_id, query, last)["url"],
        },
        {"label": "Compare", "icon": "compare", "url": f"{base}/compare?{urlencode({'left': trace_id})}"},
    ]


def _cases(tenant: Tenant, trace_id: str, query: TraceQuery, last: StoredEvent) -> dict[str, str]:
    """The page of the trace's precedents and its panel for this page; as of the same moment."""
    asked = {"trace": trace_id} | ({} if query.as_of is None else {"as_of": str(last.log_seq)})
    page = f"/t/{tenant.slug}/precedents"
    return {"url": f"{page}?{urlencode(asked)}", "panel": f"{page}?{urlencode(asked | {'part': 'panel'})}"}


def _graph(tenant: Tenant, trace_id: str, query: TraceQuery, last: StoredEvent) -> dict[str, str]:
    """The page of the graph around the trace, and its picture without the inputs; as of the same moment."""
    centre: dict[str, Any] = {"node": "trace:" + trace_id.replace("%", "%25").replace(":", "%3A")}
    if query.as_of is not None:
        centre["as_of"] = last.log_seq
    base = f"/t/{tenant.slug}/graph"
    drawn = urlencode(centre | {"depth": 1, "max_nodes": DRAWN, "node_types": DRAWN_TYPES})
    return {"url": f"{base}?{urlencode(centre)}", "picture": f"{base}.svg?{drawn}"}


def _as_of(query: TraceQuery, link: Address, last: int, shown: StoredEvent) -> dict[str, Any] | None:
    """The slider; None for a trace of one event."""
    if not last:
        return None
    at = last if query.as_of is None else query.as_of
    step = max(1, -(-last // (TICKS - 1)))
    marks = [seq for seq in range(0, last, step) if last - seq > step / 2] + [last]
    return {
        "last": last,
        "at": at,
        "past": at < last,
        "since": last - at,
        "frozen": query.as_of is not None,
        "moment": shown.occurred_at,
        "base": link.base,
        "kept": {name: value for name, value in link.kept.items() if name != "as_of"},
        "latest_url": link(None, as_of=None),
        "ticks": [{"x": f"{100 * seq / last:.2f}", "label": f"{seq:,}"} for seq in marks],
    }


def actions(known: Sequence[StoredEvent], link: Address) -> dict[str, Any]:
    """What was proposed and what became of it, deviations first; of a long trace the latest."""
    rows = [_action(pair, link) for pair in action.pairs(known)]
    deviating = [row for row in rows if row["changes"]]
    others = [row for row in rows if not row["changes"]]
    room = max(0, ACTIONS - len(deviating))
    told = sum(row["told"] for row in rows)
    return {
        "actions": [*deviating[-ACTIONS:], *(others[-room:] if room else [])],
        "actions_total": len(rows),
        "actions_meta": _meta(len(deviating), told),
    }


def _meta(otherwise: int, told: int) -> str:
    """``1 of 3 was done otherwise``; empty when no report says what was done."""
    if not told:
        return ""
    if not otherwise:
        return "done as proposed"
    return f"{otherwise:,} of {told:,} {'was' if otherwise == 1 else 'were'} done otherwise"


def _action(pair: action.ActionPair, link: Address) -> dict[str, Any]:
    found = action.deviation(pair)
    proposed, committed = pair.proposed, pair.committed
    payload = (committed.payload or {}) if committed else {}
    if found is not None:
        word = counted(len(found.changes), "difference") if found.changes else "as proposed"
    elif proposed is None:
        word = "never proposed"
    elif committed is None:
        word = "nothing reported yet"
    else:
        word = "the report does not repeat what was done"
    name = text((proposed.payload or {}) if proposed else {}, "action_type") or text(payload, "executed", "action_type")
    return {
        "key": pair.action_id,
        "name": name or pair.action_id,
        "told": found is not None,
        "word": word,
        "state": text(payload, "status"),
        "error": stories.error_text(payload),
        "proposed": None if proposed is None else {"seq": proposed.trace_seq, "url": link(proposed.trace_seq)},
        "committed": None if committed is None else {"seq": committed.trace_seq, "url": link(committed.trace_seq)},
        "changes": changes.rows(found.changes[:DEVIATIONS]) if found else [],
        "more": max(0, len(found.changes) - DEVIATIONS) if found else 0,
        "url": link(committed.trace_seq, tab="diff") if found is not None and committed else None,
    }
