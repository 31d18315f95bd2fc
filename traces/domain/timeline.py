"""The history of one trace as a waterfall: rows, phases, gaps, positions, all ready to draw.

Positions are percentages of the lane as text with two decimals (``46.03%``), so that a template
writes them into SVG attributes as they are. The machine's time is petrol, time with people is
mulberry (``human``); a long gap is folded to a fixed width and labelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from traces.domain.axis import Fold, Scale, Tick, percent
from traces.domain.envelope import StoredEvent
from traces.domain.labels import Face, duration, face
from traces.domain.moment import instant

_TITLES = {
    "input": "Inputs",
    "policy": "Policy",
    "human": "Exception and approval",
    "action": "Action",
    "finish": "Finish",
}


class Row(NamedTuple):
    """One event."""

    event_id: str
    trace_id: str
    trace_seq: int
    log_seq: int
    event_type: str
    label: str
    """Short and human, for example ``Policy exception``."""
    detail: str
    """What it is about, for example ``refund.cap@3``; empty when nothing is known."""
    mark: str
    """Name of the symbol: ``m-in m-pol m-act m-end s-human s-human-open``."""
    tone: str
    """``run ok warn bad human idle``"""
    bar: str
    """What the time before the event was: ``el`` elapsed, ``wait`` with people, empty for none."""
    bar_x: str
    bar_width: str
    x: str
    """Where the mark is."""
    offset_ms: int
    """Milliseconds since the first event."""
    gap_ms: int
    """Milliseconds since the row before."""
    offset: str
    gap: str
    """The same for people; empty in the first row."""
    occurred_at: str
    review: bool
    """From a review trace, not from the trace itself."""
    redacted: bool
    early: bool
    """Its ``occurred_at`` is before that of the event before it; it is drawn at that one's place."""


class Phase(NamedTuple):
    """Rows that belong together, in their order."""

    key: str
    """``input policy human action finish``"""
    title: str
    counted: str
    """For example ``2 events, 2 from review``."""
    tone: str
    x: str
    width: str
    duration: str
    rows: tuple[Row, ...]


class Stretch(NamedTuple):
    """A part of the strip that shows the true scale."""

    kind: str
    """``machine`` or ``people``"""
    x: str
    width: str


class Timeline(NamedTuple):
    """Everything the page draws."""

    phases: tuple[Phase, ...]
    ticks: tuple[Tick, ...]
    folds: tuple[Fold, ...]
    strip: tuple[Stretch, ...]
    started_at: str
    ended_at: str
    """``occurred_at`` of the first and the last row, verbatim; empty without rows."""
    total: str
    machine: str
    people: str
    """Durations for people; empty when zero."""
    total_ms: int
    machine_ms: int
    people_ms: int
    event_count: int
    review_count: int


class _Placed(NamedTuple):
    at: int
    """Milliseconds since the epoch, never before the event before it."""
    event: StoredEvent
    early: bool
    review: bool


def build(
    events: Sequence[StoredEvent], *, review: Sequence[StoredEvent] = (), fold: bool = True, lead: int = 0
) -> Timeline:
    """The waterfall of a trace, or of a stretch of it.

    ``events`` are the trace's own in any order, ``review`` those of review traces about it.
    Order inside a trace is ``trace_seq``; clocks that run backwards are drawn as standing still.
    ``fold=False`` draws everything to scale. The first ``lead`` events are not drawn: they only say
    when the time before the first row began, so that a stretch continues the one before.
    """
    placed = _merge(events, review)
    if not placed:
        return Timeline((), (), (), (), "", "", "", "", "", 0, 0, 0, 0, 0)
    start = placed[0].at
    offsets = [p.at - start for p in placed]
    scale = Scale(offsets, fold=fold)
    faces = [face(p.event) for p in placed]
    rows = [_row(p, f, offsets, index, scale) for index, (p, f) in enumerate(zip(placed, faces, strict=True))]
    keys = _phase_keys(faces)
    phases: list[Phase] = []
    first = lead = min(lead, len(rows))
    for index in range(lead + 1, len(rows) + 1):
        if index == len(rows) or _group(keys[index]) != _group(keys[first]):
            phases.append(_phase(keys[first:index], rows[first:index], offsets[max(first - 1, 0)], scale))
            first = index
    people = sum(row.gap_ms for row in rows if row.bar == "wait")
    total = offsets[-1]
    return Timeline(
        phases=tuple(phases),
        ticks=scale.ticks(),
        folds=scale.folds(),
        strip=_strip(rows, total),
        started_at=placed[0].event.occurred_at,
        ended_at=placed[-1].event.occurred_at,
        total=duration(total),
        machine=duration(total - people) if total > people else "",
        people=duration(people) if people else "",
        total_ms=total,
        machine_ms=total - people,
        people_ms=people,
        event_count=len(events) - lead,
        review_count=len(review),
    )


def _merge(events: Sequence[StoredEvent], review: Sequence[StoredEvent]) -> list[_Placed]:
    """Both histories in one order; a trace's own order is never changed by its clocks."""
    placed: list[_Placed] = []
    for history, is_review in ((events, False), (review, True)):
        clocks: dict[str, int] = {}
        for event in sorted(history, key=lambda e: (e.trace_seq, e.log_seq)):
            before = clocks.get(event.trace_id)
            at = _milliseconds(event, before)
            early = before is not None and at < before
            at = max(at, before) if before is not None else at
            clocks[event.trace_id] = at
            placed.append(_Placed(at, event, early, is_review))
    # Stable: where times are equal, and always inside a trace, the order of the log.
    placed.sort(key=lambda p: (p.at, p.event.log_seq) if review else (p.at, p.event.trace_seq))
    return placed


def _milliseconds(event: StoredEvent, otherwise: int | None) -> int:
    moment = instant(event.occurred_at) or instant(event.recorded_at)
    if moment is None:
        return otherwise or 0
    return int(moment.timestamp() * 1000)


def _row(placed: _Placed, shown: Face, offsets: list[int], index: int, scale: Scale) -> Row:
    event = placed.event
    offset = offsets[index]
    before = offsets[index - 1] if index else offset
    gap = offset - before
    x, bar_x = scale.at(offset), scale.at(before)
    bar = "" if x - bar_x < 0.005 else "wait" if shown.waited else "el"
    return Row(
        event_id=event.event_id,
        trace_id=event.trace_id,
        trace_seq=event.trace_seq,
        log_seq=event.log_seq,
        event_type=event.event_type,
        label=shown.label,
        detail=shown.detail,
        mark=shown.mark,
        tone=shown.tone,
        bar=bar,
        bar_x=percent(bar_x),
        bar_width=percent(x - bar_x),
        x=percent(x),
        offset_ms=offset,
        gap_ms=gap,
        offset=duration(offset),
        gap=duration(gap) if index else "",
        occurred_at=event.occurred_at,
        review=placed.review,
        redacted=event.payload is None,
        early=placed.early,
    )


def _phase_keys(faces: list[Face]) -> list[str]:
    """The phase of every row.

    Inputs and citations never open a phase again once the decision is under way, and a proposal
    between two steps of an approval belongs to the approval; so an agent that looks things up while
    it acts does not tear the picture apart.
    """
    keys: list[str] = []
    following = ""
    nexts = [""] * len(faces)
    for index in range(len(faces) - 1, -1, -1):
        nexts[index] = following
        if not faces[index].joins and not faces[index].proposes:
            following = faces[index].phase
    current = ""
    for shown, coming in zip(faces, nexts, strict=True):
        key = shown.phase
        if shown.joins and (current not in ("", "input") or key == "input"):
            key = current or key
        elif shown.proposes and current == "human" and coming == "human":
            key = current
        keys.append(key)
        current = key
    return keys


def _group(key: str) -> str:
    return "action" if key == "finish" else key


def _phase(keys: list[str], rows: list[Row], start: int, scale: Scale) -> Phase:
    key = keys[0]
    title = _TITLES[key]
    if key == "action" and keys[-1] == "finish":
        title = "Action and finish"
    reviews = sum(row.review for row in rows)
    own = len(rows) - reviews
    counts = [f"{own} event{'' if own == 1 else 's'}"] if own or not reviews else []
    if reviews:
        counts.append(f"{reviews} from review")
    end = rows[-1].offset_ms
    x = scale.at(start)
    tone = "human" if key == "human" else "run"
    return Phase(
        key,
        title,
        ", ".join(counts),
        tone,
        percent(x),
        percent(scale.at(end) - x),
        duration(end - start),
        tuple(rows),
    )


def _strip(rows: list[Row], total: int) -> tuple[Stretch, ...]:
    """Who had the time, to scale; neighbours of a kind are one stretch."""
    if not total:
        return ()
    stretches: list[tuple[str, int, int]] = []
    for row in rows:
        if not row.gap_ms:
            continue
        kind = "people" if row.bar == "wait" else "machine"
        begin = row.offset_ms - row.gap_ms
        if stretches and stretches[-1][0] == kind:
            begin = stretches.pop()[1]
        stretches.append((kind, begin, row.offset_ms))
    return tuple(
        Stretch(kind, percent(begin / total * 100), percent((end - begin) / total * 100))
        for kind, begin, end in stretches
    )
