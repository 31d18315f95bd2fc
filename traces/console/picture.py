"""A timeline as the template draws it: numbers for SVG attributes, links for rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from traces.domain.timeline import Phase, Row, Timeline

LETTER = 1.75
"""Percent of the lane that a letter of the axis takes in the narrowest wide layout."""

Link = Callable[[int], str]
"""``trace_seq`` -> address of that event."""


def picture(timeline: Timeline, *, at: int | None, link: Link) -> dict[str, Any]:
    """The context of ``components/timeline.html``."""
    ticks, folds = _labels(timeline)
    return {
        "axis": ticks,
        "folds": folds,
        "scale": _scale(timeline),
        "phases": [_phase(phase, at, link) for phase in timeline.phases],
    }


def _labels(timeline: Timeline) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lines of the axis and folds; a label that would stand on another one is left out, its line stays.

    What was folded away comes first: nothing else says how long it was.
    """
    taken: list[tuple[float, float]] = []

    def free(begin: float, text: str) -> str:
        end = begin + LETTER * len(text) + 1
        if end > 101 or any(begin < other_end and end > other for other, other_end in taken):
            return ""
        taken.append((begin, end))
        return text

    folds: list[dict[str, Any]] = []
    for fold in timeline.folds:
        middle = _number(fold.middle)
        label = free(middle - LETTER * len(fold.label) / 2, fold.label)
        folds.append({"x": _number(fold.x), "width": _number(fold.width), "middle": middle, "label": label})
    ends = {round(fold["x"] + fold["width"], 1) for fold in folds}
    ticks: list[dict[str, Any]] = [
        {"x": _number(tick.x), "label": tick.label.replace(".00 s", " s"), "wide": index % 2 == 1}
        for index, tick in enumerate(timeline.ticks)
    ]
    for tick in sorted(ticks, key=lambda t: (t["x"] > 0, round(t["x"], 1) not in ends, t["x"])):
        tick["label"] = free(tick["x"], tick["label"])
    return ticks, folds


def _number(percent: str) -> float:
    return float(percent.removesuffix("%"))


def _scale(timeline: Timeline) -> dict[str, Any] | None:
    """The strip that shows the true scale: who had the time. Only where it was not one of them alone."""
    if not timeline.people_ms:
        return None
    machine = f"{timeline.machine} of agent work" if timeline.machine else "no agent work"
    people = f", {timeline.people} with people"
    return {
        "parts": [
            {"kind": part.kind, "x": _number(part.x), "width": max(_number(part.width), 0.2)} for part in timeline.strip
        ],
        "title": f"{timeline.total} in all: {machine}{people}",
        "machine": timeline.machine_ms / 1000,
        "people": timeline.people_ms / 1000,
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
