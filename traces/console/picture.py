"""A timeline as the template draws it: numbers for SVG attributes, links for rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from traces.domain.timeline import Phase, Row, Timeline

Link = Callable[[int], str]
"""``trace_seq`` -> address of that event."""


def picture(timeline: Timeline, *, at: int | None, link: Link) -> dict[str, Any]:
    """The context of ``components/timeline.html``."""
    return {
        "axis": [
            {"x": _number(tick.x), "label": tick.label.replace(".00 s", " s"), "wide": index % 2 == 1}
            for index, tick in enumerate(timeline.ticks)
        ],
        "folds": [
            {"x": _number(f.x), "width": _number(f.width), "middle": _number(f.middle), "label": f.label}
            for f in timeline.folds
        ],
        "scale": _scale(timeline),
        "phases": [_phase(phase, at, link) for phase in timeline.phases],
    }


def _number(percent: str) -> float:
    return float(percent.removesuffix("%"))


def _scale(timeline: Timeline) -> dict[str, Any] | None:
    """The strip that shows the true scale; only where there is something to tell."""
    if not timeline.strip or not (timeline.folds or timeline.people_ms):
        return None
    machine = f"{timeline.machine} of agent work" if timeline.machine else "no agent work"
    people = f", {timeline.people} with people" if timeline.people else ""
    return {
        "parts": [
            {"kind": part.kind, "x": _number(part.x), "width": max(_number(part.width), 0.2)} for part in timeline.strip
        ],
        "title": f"{timeline.total} in all: {machine}{people}",
        "machine": timeline.machine_ms / 1000,
        "people": timeline.people_ms / 1000 if timeline.people_ms else None,
    }


def _phase(phase: Phase, at: int | None, link: Link) -> dict[str, Any]:
    rows = [_row(row, at, link) for row in phase.rows]
    return {
        "label": phase.title,
        "meta": phase.counted,
        "tone": phase.tone,
        "x": _number(phase.x),
        "width": max(_number(phase.width), 0.3),
        "total": sum(row.gap_ms for row in phase.rows) / 1000,
        "rows": rows,
    }


def _row(row: Row, at: int | None, link: Link) -> dict[str, Any]:
    x = _number(row.x)
    detail = f"{row.detail}, its clock ran backwards".lstrip(", ") if row.early else row.detail
    return {
        "seq": row.trace_seq,
        "id": f"e-{row.trace_seq}",
        "key": f"event-{row.trace_seq}",
        "url": link(row.trace_seq),
        "word": row.label,
        "detail": detail,
        "tone": row.tone,
        "mark": row.mark,
        "x0": _number(row.bar_x) if row.bar else x,
        "x": x,
        "width": _number(row.bar_width),
        "wait": row.bar == "wait",
        "delta": row.gap_ms / 1000 if row.gap else None,
        "review": row.review,
        "current": row.trace_seq == at,
    }
