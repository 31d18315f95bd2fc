"""The precedents page: a question, what was decided before and why it counts, and where outcomes differ."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Literal
from urllib.parse import quote, urlencode

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from pydantic import Field, ValidationError

from decisiongraph.core.api import Query, decode_cursor, encode_cursor, query_params, violations
from decisiongraph.core.console import page
from decisiongraph.core.errors import Problem, invalid
from decisiongraph.core.templatetags.dg.words import counted
from projections import selectors
from projections.domain.precedents.question import Question, typed_facts
from projections.domain.precedents.ranking import Hit
from projections.selectors.situations import Found, SplitGroup
from tenants.access import console_view

HITS = 10
ROWS = 20
"""Hits of a search, groups of the radar."""
FIELDS = ("trace", "workflow", "entity_type", "policy", "code", "action", "facts", "text", "outcome")
NAMES = {
    "workflow": "workflow",
    "entity": "entity type",
    "policy": "policy",
    "violations": "violations",
    "actions": "actions",
    "facts": "facts",
    "phrases": "phrases of the request",
    "pairs": "words near each other",
    "meaning": "meaning",
    "kin": "nearest cases",
}
"""Part of a score -> what a person calls it."""


class PrecedentsPage(Query):
    """Everything a link to the page says. Empty fields of its form say nothing."""

    trace: str = Field(default="", max_length=200)
    workflow: str = Field(default="", max_length=200)
    entity_type: str = Field(default="", max_length=200)
    policy: str = Field(default="", max_length=400)
    code: str = Field(default="", max_length=200)
    action: str = Field(default="", max_length=200)
    facts: str = Field(default="", max_length=2000)
    text: str = Field(default="", max_length=8000)
    outcome: Literal["", "success", "failure", "abandoned"] = ""
    as_of: str = Field(default="", max_length=20)
    view: Literal["search", "radar"] = "search"
    part: Literal["panel", "aside"] | None = None
    """``panel``: a section for the page of the trace; ``aside``: what stands inside one."""
    cursor: str | None = Field(default=None, max_length=1000)

    def asks(self) -> bool:
        """Whether anything is asked."""
        return any(str(getattr(self, name)).strip() for name in FIELDS if name != "outcome")

    def question(self) -> Question:
        """The question; a trace goes before everything else that was said."""
        more: dict[str, Any] = {
            "outcome": self.outcome or None,
            "as_of": self.as_of.strip() or None,
            "limit": HITS,
        }
        if self.trace:
            return Question(trace_id=self.trace, **more)
        return Question(
            workflow=self.workflow or None,
            entity_type=self.entity_type or None,
            policy=self.policy or None,
            violation_codes=[self.code] if self.code else [],
            action_type=self.action or None,
            facts=typed_facts(self.facts),
            text=self.text,
            **more,
        )

    def wrong(self) -> list[str]:
        """What of the form cannot be asked, each as a sentence."""
        if not self.asks():
            return []
        try:
            self.question()
        except ValidationError as error:
            found = violations(error, "query")
            return [_sentence_of(LABELS.get(each["path"], ""), each["detail"]) for each in found]
        except ValueError as error:
            return [_sentence_of(LABELS["facts"], str(error))]
        return []


LABELS = {
    "trace_id": "Trace",
    "workflow": "Workflow",
    "entity_type": "Entity type",
    "policy": "Policy and version",
    "violation_codes": "Violation code",
    "action_type": "Action type",
    "facts": "Facts",
    "text": "The request in words",
    "as_of": "As of event",
}
"""Field of a question -> its label in the form."""


def _sentence_of(label: str, said: str) -> str:
    return f"{label}: {said}." if label else f"{said}."


@cache
def evaluation() -> dict[str, Any] | None:
    """The figures that ``make eval`` wrote; None where it never ran."""
    path = settings.BASE_DIR / "docs" / "eval" / "precedents.json"
    found: dict[str, Any] | None = json.loads(path.read_bytes()) if path.is_file() else None
    return found


@console_view("read")
@require_GET
def precedents(request: Any) -> HttpResponse:
    """Ranked precedents of a situation, or the groups whose outcomes differ.

    ``part=panel`` answers the best of both ways alone, for the page of the trace that asks; ``part=aside``
    those decided otherwise, for the page of whoever decides.
    """
    query = query_params(request, PrecedentsPage)
    wrong = query.wrong() if query.view == "search" else []
    if wrong and query.part is not None:
        raise invalid("", "query.invalid_parameter", " ".join(wrong))
    base = f"/t/{request.tenant.slug}"
    said = {
        name: value for name, value in query.model_dump().items() if value and name not in ("view", "cursor", "part")
    }
    context: dict[str, Any] = {
        "crumbs": [{"label": "Precedents"}],
        "title": "Same situation, different outcome" if query.view == "radar" else "",
        "query": query,
        "asked": query.view == "search" and query.asks() and not wrong,
        "wrong": wrong,
        "detailed": any(said.get(name) for name in ("policy", "code", "action", "facts", "as_of")),
        "search_url": f"{base}/precedents" + (f"?{urlencode(said)}" if said else ""),
        "radar_url": f"{base}/precedents?{urlencode({**said, 'view': 'radar'})}",
        "clear_url": f"{base}/precedents",
        "evaluation": evaluation(),
        "outcomes": ("success", "failure", "abandoned"),
        "names": selectors.names(request.tenant),
    }
    status = 400 if wrong else 200
    if query.part == "aside":
        return render(request, "projections/precedents.html#aside", context | _aside(request, query, base))
    if query.view == "radar":
        context |= _radar(request, query, base)
    elif query.asks() and not wrong:
        try:
            context |= _answer(selectors.precedent_search(request.tenant, query.question()), query, base)
        except Problem as problem:
            if problem.code != "search.too_broad" or query.part is not None:
                raise
            status = problem.status
            context |= {"asked": False, "wrong": [problem.detail], "stopped": True}
    if query.part is not None:
        return render(request, "projections/precedents.html#panel", context)
    shown = page(request, "cases", **context)
    return render(request, "projections/precedents.html", shown, status=status)


def _aside(request: Any, query: PrecedentsPage, base: str) -> dict[str, Any]:
    """What another page embeds: the cases decided otherwise, and how many were not."""
    if not query.asks():
        return {"other": [], "same": [], "title": ""}
    answer = _answer(selectors.precedent_search(request.tenant, query.question()), query, base)
    return answer | {"best": answer["same"][0]["score"] if answer["same"] else ""}


def _trace_url(base: str, trace_id: str) -> str:
    return f"{base}/traces/{quote(trace_id, safe='')}"


def _answer(found: Found, query: PrecedentsPage, base: str) -> dict[str, Any]:
    answer = found.answer
    total = len(answer.hits)
    hits = [_hit(hit, query, base) for hit in answer.hits]
    return {
        "other": hits[: answer.counters],
        "same": hits[answer.counters :],
        "answer": answer,
        "found": found,
        "title": _sentence(total, answer.counters, answer.outcome),
        "state": "degraded" if answer.counters else ("fresh" if total else "idle"),
        "split": [
            {"outcome": outcome, "count": number, "share": 100 * number / total} for outcome, number in answer.split
        ],
        "agreement": 100 * answer.agreement,
        "asked_url": _trace_url(base, query.trace) if query.trace else "",
    }


def _sentence(total: int, counters: int, outcome: str | None) -> str:
    if not total:
        return "No finished decision is like this one"
    if not counters:
        return f"All {counted(total, 'decision')} most like it ended in {outcome}"
    return f"{counters} of the {counted(total, 'decision')} most like it went the other way"


def _hit(hit: Hit, query: PrecedentsPage, base: str) -> dict[str, Any]:
    pair = urlencode({"left": query.trace, "right": hit.case.trace_id})
    strongest = sorted(hit.parts, key=lambda part: -part.points)
    told = [part.words for part in strongest if part.points > 0 and part.name != "kin"]  # what it shares itself
    return {
        "trace_id": hit.case.trace_id,
        "title": hit.case.title or hit.case.trace_id,
        "outcome": hit.case.outcome,
        "finished_at": hit.case.finished_at,
        "score": f"{hit.score:.2f}",
        "bars": [{"share": part.points} for part in strongest],
        "why": told[:3],
        "parts": [
            {
                "name": NAMES.get(part.name, part.name),
                "points": f"{part.points:.2f}",
                "most": f"{part.most:.2f}",
                "share": 100 * part.points / part.most if part.most else 0,
                "words": part.words,
            }
            for part in hit.parts
        ],
        "url": _trace_url(base, hit.case.trace_id),
        "graph_url": f"{base}/graph?{urlencode({'node': 'trace:' + hit.case.trace_id})}",
        "similar_url": f"{base}/precedents?{urlencode({'trace': hit.case.trace_id})}",
        "compare_url": f"{base}/compare?{pair}" if query.trace else "",
    }


def _radar(request: Any, query: PrecedentsPage, base: str) -> dict[str, Any]:
    position = decode_cursor(query.cursor, int)
    groups = selectors.radar(request.tenant, before=None if position is None else position[0], limit=ROWS)
    more = len(groups) > ROWS
    following = urlencode({"view": "radar", "cursor": encode_cursor(groups[ROWS - 1].latest)}) if more else ""
    return {
        "groups": [_group(group, base) for group in groups[:ROWS]],
        "next_url": f"{base}/precedents?{following}" if following else "",
        "first_url": f"{base}/precedents?view=radar" if query.cursor else "",
    }


def _group(group: SplitGroup, base: str) -> dict[str, Any]:
    ends: dict[str, Any] = {}
    for row in group.rows:
        ends.setdefault(row.outcome, row)
    pair = list(ends.values())[:2]
    return {
        "key": group.key[:12],
        "message": group.message,
        "trend": group.trend,
        "trend_words": group.trend_words,
        "title": group.rows[0].title or group.rows[0].trace_id,
        "outcomes": [
            {"outcome": outcome, "count": number, "share": 100 * number / group.size}
            for outcome, number in group.outcomes
        ],
        "rows": [
            {
                "title": row.title or row.trace_id,
                "trace_id": row.trace_id,
                "outcome": row.outcome,
                "finished_at": row.finished_at,
                "url": _trace_url(base, row.trace_id),
            }
            for row in group.rows
        ],
        "hidden": group.size - len(group.rows),
        "compare_url": f"{base}/compare?{urlencode({'left': pair[0].trace_id, 'right': pair[1].trace_id})}"
        if len(pair) == 2
        else "",
        "similar_url": f"{base}/precedents?{urlencode({'trace': group.rows[0].trace_id})}",
    }
