"""Precedents of a situation, and groups of decisions that ended differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

from decisiongraph.core.db import current_tenant_id, tenant_tx
from decisiongraph.core.errors import not_found
from projections.domain import words
from projections.domain.precedents.question import Answer, Question, answered
from projections.domain.precedents.ranking import Embed, Hit, rank
from projections.domain.precedents.situation import EVENT_TYPES, MAX_EVENTS, Case, Situation, situation
from projections.domain.precedents.words import fused
from projections.models import SituationCursor, SituationRow, text_sha
from projections.models.search import situation_handle, situation_tags
from projections.selectors.search import bounded
from tenants.models import Tenant
from traces import selectors as log

MOST = 60
"""Cases of each list (structure, text, spelling) that are fused."""
CANDIDATES = 120
"""Cases that are compared one by one."""
QUERY_WORDS = 60
"""Different words of a question that look for candidates."""
FOREVER = 2**62
NARROWER = "Narrow it: say the workflow, entity type, policy or action, and the request in fewer and rarer words."


class Found(NamedTuple):
    """The answer to a question."""

    answer: Answer
    situation: Situation
    candidates: int
    """Cases that were compared."""
    learned_to: int
    """Position of the log up to which finished decisions are known here."""


def as_situation(row: Mapping[str, Any]) -> Situation:
    """A situation from its row."""
    lists = {name: tuple(row[name]) for name in ("policies", "codes", "actions")}
    kept = {name: row[name] for name in Situation._fields}
    return Situation(**{**kept, **lists, "facts": tuple((key, value) for key, value in row["facts"])})


def as_case(row: SituationRow) -> Case:
    """A finished decision from its row."""
    return Case(row.trace_id, row.log_seq, row.outcome, row.finished_at, row.title, as_situation(row.situation))


def embedding() -> Embed | None:
    """The embedding backend that the settings name; none unless somebody plugged one in."""
    path = settings.PRECEDENT_EMBEDDING
    found: Embed | None = import_string(path) if path else None
    return found


def situation_of(tenant: Tenant, trace_id: str, *, until: int = FOREVER) -> Situation:
    """The situation of a trace, finished or not, as it was known at a position. 404 when there was none."""
    history = log.trace_history(tenant, [trace_id], EVENT_TYPES, below=MAX_EVENTS)[trace_id]
    history = [event for event in history if event.log_seq <= until]
    if not history:
        raise not_found("trace", trace_id)
    return situation(history)


class Compare(NamedTuple):
    """A question and what is compared with it."""

    situation: Situation
    cases: list[Case]
    outcome: str | None
    """The other way is that of the others: the outcome asked for, else that of the trace that asks."""
    learned_to: int


def comparable(tenant: Tenant, question: Question) -> Compare:
    """The situation of a question and the finished decisions worth comparing, without the one that asks.

    Stopped after 3 s with 422 ``search.too_broad``.
    """
    with bounded(tenant, NARROWER):
        until = FOREVER if question.as_of is None else question.as_of
        outcome: str | None = question.outcome
        if question.trace_id is None:
            wanted = question.situation()
        else:
            wanted = situation_of(tenant, question.trace_id, until=until)
            asking = SituationRow.objects.filter(trace_sha=text_sha(question.trace_id), log_seq__lte=until)
            outcome = outcome or asking.values_list("outcome", flat=True).first()
        apart = {text_sha(name) for name in (question.trace_id, question.without) if name is not None}
        keys = [key for key in _candidates(wanted, until) if key not in apart][:CANDIDATES]
        cases = [as_case(row) for row in SituationRow.objects.filter(trace_sha__in=keys, log_seq__lte=until)]
        return Compare(wanted, cases, outcome, _learned_to())


def precedent_search(tenant: Tenant, question: Question) -> Found:
    """The finished decisions most like a situation, those decided the other way first."""
    wanted, cases, outcome, learned = comparable(tenant, question)
    hits = rank(wanted, cases, limit=question.limit, embed=embedding())
    return Found(answered(hits, outcome), wanted, len(cases), learned)


def _candidates(wanted: Situation, until: int) -> list[bytes]:
    """Keys of the cases worth comparing, the best first: three lists of the finder, fused by rank."""
    lexemes = dict.fromkeys(token.text for token in words.tokens(f"{wanted.opening}\n{wanted.asked}"))
    # long words first: short ones are the common ones
    kept = sorted(lexemes, key=lambda lexeme: (-len(lexeme), lexeme))[:QUERY_WORDS] + situation_tags(wanted)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT list, trace_sha FROM dg_like_situations(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
            "ORDER BY list, place",
            [
                current_tenant_id(),
                until,
                wanted.workflow,
                wanted.entity_type,
                list(wanted.policies),
                list(wanted.codes),
                list(wanted.actions),
                " | ".join(words.quoted(lexeme) for lexeme in kept),
                situation_handle(wanted),
                MOST,
            ],
        )
        lists: dict[str, list[str]] = {}
        for name, sha in cursor.fetchall():
            lists.setdefault(name, []).append(bytes(sha).hex())
    return [bytes.fromhex(found.key) for found in fused(lists.values())]


def _learned_to() -> int:
    return SituationCursor.objects.values_list("log_seq", flat=True).first() or 0


def hit_json(hit: Hit, *, counter: bool) -> dict[str, Any]:
    """A hit as the API shows it."""
    told = hit.case.situation
    return {
        "trace_id": hit.case.trace_id,
        "title": hit.case.title,
        "outcome": hit.case.outcome,
        "counter": counter,
        "score": round(hit.score, 6),
        "parts": [
            {"name": part.name, "points": round(part.points, 6), "most": round(part.most, 6), "words": part.words}
            for part in hit.parts
        ],
        "workflow": told.workflow,
        "entity_type": told.entity_type,
        "policies": list(told.policies),
        "violation_codes": list(told.codes),
        "action_types": list(told.actions),
        "finished_at": hit.case.finished_at,
        "finished_log_seq": hit.case.log_seq,
    }


def found_json(found: Found) -> dict[str, Any]:
    """An answer as the API shows it."""
    answer = found.answer
    return {
        "items": [hit_json(hit, counter=place < answer.counters) for place, hit in enumerate(answer.hits)],
        "outcome": answer.outcome,
        "counters": answer.counters,
        "agreement": round(answer.agreement, 6),
        "split": [{"outcome": outcome, "count": count} for outcome, count in answer.split],
        "compared": found.candidates,
        "learned_to": found.learned_to,
    }


# --- the radar --------------------------------------------------------------------------------------

SHOWN = 24
"""Decisions of a group that are listed; all are counted."""

_GROUPS = """
SELECT group_sha, max(log_seq) AS latest, count(*) AS size FROM projections_situationrow
WHERE tenant_id = %s GROUP BY group_sha
HAVING count(DISTINCT outcome) > 1 AND max(log_seq) < %s
ORDER BY latest DESC LIMIT %s
"""


class SplitGroup(NamedTuple):
    """Decisions in the same situation that ended differently."""

    key: str
    size: int
    latest: int
    """Position at which the last of them finished."""
    outcomes: tuple[tuple[str, int], ...]
    """The most frequent first."""
    rows: list[SituationRow]
    """The latest first, at most `SHOWN`."""

    @property
    def message(self) -> str:
        """What is odd, as a sentence."""
        ends = [f"{number} ended in {outcome}" for outcome, number in self.outcomes]
        return f"{self.size} decisions in the same situation: {', '.join(ends[:-1])} and {ends[-1]}."

    @property
    def trend(self) -> list[str]:
        """Outcomes in the order they were decided."""
        return [row.outcome for row in reversed(self.rows)]

    @property
    def trend_words(self) -> str:
        """How it went lately."""
        ends = [row.outcome for row in self.rows]
        run = next((place for place, outcome in enumerate(ends) if outcome != ends[0]), len(ends))
        said = f"The last {run} ended in {ends[0]}" if run > 1 else f"The last one ended in {ends[0]}"
        return f"{said}, the one before in {ends[run]}." if run < len(ends) else f"{said}."


def radar(tenant: Tenant, *, before: int | None = None, limit: int = 50) -> list[SplitGroup]:
    """Groups whose outcomes differ, the one that moved last first, up to ``limit + 1``."""
    with bounded(tenant):
        with connection.cursor() as cursor:
            cursor.execute(_GROUPS, [current_tenant_id(), FOREVER if before is None else before, limit + 1])
            groups = [(bytes(row[0]), row[1], row[2]) for row in cursor.fetchall()]
        return [_group(*group) for group in groups]


def _group(sha: bytes, latest: int, size: int) -> SplitGroup:
    from django.db.models import Count

    rows = SituationRow.objects.filter(group_sha=sha)
    counts = rows.values_list("outcome").annotate(number=Count("id")).order_by("-number", "outcome")
    shown = rows.defer("situation", "words").order_by("-log_seq")[:SHOWN]
    return SplitGroup(sha.hex(), size, latest, tuple((outcome, number) for outcome, number in counts), list(shown))


def split_json(group: SplitGroup) -> dict[str, Any]:
    """A group as the API shows it."""
    return {
        "key": group.key,
        "message": group.message,
        "trend": group.trend,
        "trend_words": group.trend_words,
        "size": group.size,
        "latest_log_seq": group.latest,
        "outcomes": [{"outcome": outcome, "count": count} for outcome, count in group.outcomes],
        "traces": [
            {"trace_id": row.trace_id, "title": row.title, "outcome": row.outcome, "finished_at": row.finished_at}
            for row in group.rows
        ],
    }


def names(tenant: Tenant) -> dict[str, Sequence[str]]:
    """Workflows and entity types that finished decisions have: completes the form."""
    with tenant_tx(tenant):
        rows = SituationRow.objects.order_by()
        return {
            "workflows": sorted(n for n in rows.values_list("workflow", flat=True).distinct()[:50] if n),
            "entity_types": sorted(n for n in rows.values_list("entity_type", flat=True).distinct()[:50] if n),
        }
