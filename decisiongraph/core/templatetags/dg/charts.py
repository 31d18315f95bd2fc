"""Quantities as ``<progress>`` and SVG. Widths are percent attributes, so a chart fits its panel
without inline styles, and every chart carries its meaning as a sentence for screen readers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from decisiongraph.core.templatetags.dg.words import number, percent


def progress(value: Any, maximum: Any = 100, label: str = "Progress", tone: str = "run", size: str = "") -> SafeString:
    """``{% progress position target "Replay progress" "run" "l" %}``."""
    top = float(maximum or 0) or 1.0
    now = min(max(float(value or 0), 0.0), top)
    return format_html(
        '<progress class="tone-{}{}" value="{}" max="{}" aria-label="{}">{}</progress>',
        tone,
        f" {size}" if size else "",
        f"{now:g}" if now < 1e6 else f"{now:.0f}",
        f"{top:g}" if top < 1e6 else f"{top:.0f}",
        label,
        percent(now, top),
    )


def spark(values: Iterable[Any] | None, tone: str = "run", label: str = "") -> SafeString:
    """``{% spark counts %}``: a 100 x 20 bar line; zero is a thin dash, so silence is visible."""
    counts = [float(value or 0) for value in values or ()]
    if not counts:
        return mark_safe('<span class="mut">no data</span>')
    top = max(counts) or 1.0
    step = 100 / len(counts)
    rects = []
    for index, count in enumerate(counts):
        height = 18 * count / top
        kind, height = ("b", max(height, 1.5)) if count else ("z", 1.0)
        rects.append(
            f'<rect class="{kind}" x="{index * step:.2f}%" width="{step * 0.8:.2f}%" '
            f'y="{20 - height:.1f}" height="{height:.1f}" rx=".5"/>'
        )
    name = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    return mark_safe(f'<svg class="spark tone-{escape(tone)}" {name}>{"".join(rects)}</svg>')


def _ceiling(top: float) -> float:
    """The next round figure an axis can end on, whose half is round too."""
    if top <= 4:
        return 4.0
    power = 10.0 ** math.floor(math.log10(top))
    return next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * power >= top)


def bars(
    values: Sequence[Any],
    refused: Sequence[Any] | None = None,
    labels: Sequence[Any] | None = None,
    title: str = "",
    height: int = 156,
) -> SafeString:
    """``{% bars accepted refused labels "Events per minute…" %}``: the panel chart.

    ``values`` are per step, oldest first; ``refused`` stands on top of them; ``labels`` are words
    spread evenly under the axis (``["09:25", …, "now"]``).
    """
    if not values:
        return mark_safe('<p class="empty">No events in this range.</p>')
    over = [float(value or 0) for value in refused] if refused else [0.0] * len(values)
    counts = [float(value or 0) for value in values]
    peak = _ceiling(max(a + b for a, b in zip(counts, over, strict=True)))
    floor_y, span = height - 26, height - 36
    unit = span / peak
    parts = []
    for share in (0, 0.5, 1):
        y = floor_y - span * share
        parts.append(f'<line class="g" x1="0" x2="100%" y1="{y + 0.5:.1f}" y2="{y + 0.5:.1f}"/>')
        parts.append(f'<text x="100%" dx="8" y="{y + 4.5:.1f}">{number(peak * share)}</text>')
    step = 100 / len(counts)
    for index, (count, bad) in enumerate(zip(counts, over, strict=True)):
        x, tall = index * step, count * unit
        now = " now" if index == len(counts) - 1 else ""
        if count:
            tall = max(tall, 1.0)
            parts.append(
                f'<rect class="b{now}" x="{x:.2f}%" width="{step * 0.72:.2f}%" '
                f'y="{floor_y - tall:.1f}" height="{tall:.1f}" rx="1"/>'
            )
        if bad:
            extra = max(bad * unit, 2.5)
            parts.append(
                f'<rect class="r" x="{x:.2f}%" width="{step * 0.72:.2f}%" '
                f'y="{floor_y - tall - extra - 1.5:.1f}" height="{extra:.1f}" rx="1"/>'
            )
    words = [str(label) for label in labels or ()]
    for index, text in enumerate(words):
        last = index == len(words) - 1
        anchor = "end" if last and index else "start" if not index else "middle"
        x = 100 * index / max(1, len(words) - 1)
        parts.append(f'<text x="{x:.2f}%" y="{height - 6}" text-anchor="{anchor}">{escape(text)}</text>')
    return mark_safe(f'<svg class="chart axis-r" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>')


def buckets(differing: Iterable[int] | None = None, total: int = 256) -> SafeString:
    """``{% buckets differing %}``: the digest's buckets as a 32-column field, differing ones marked."""
    rows = math.ceil(int(total) / 32)
    marks = "".join(
        f'<rect class="diff" x="{index % 32 * 3.125:.3f}%" y="{index // 32 * 8}" width="3.125%" height="6"/>'
        for index in sorted(set(differing or ()))
        if 0 <= index < int(total)
    )
    field = "".join(f'<rect class="row" x="0" y="{row * 8}" width="100%" height="6"/>' for row in range(rows))
    # Gaps are drawn over the rows: 31 lines instead of 256 cells keep a page small.
    gaps = "".join(
        f'<line x1="{col * 3.125:.3f}%" x2="{col * 3.125:.3f}%" y1="0" y2="{rows * 8}"/>' for col in range(1, 32)
    )
    return mark_safe(f'<svg class="buckets" aria-hidden="true">{field}{gaps}{marks}</svg>')


def scorebar(parts: Iterable[Any]) -> SafeString:
    """``{% scorebar parts %}``: named shares of a score, each ``{"share": 0.38}``, drawn to scale."""
    x, rects = 0.0, []
    for index, part in enumerate(parts):
        width = 100 * float(part["share"])
        rects.append(
            f'<rect class="{"abcd"[min(index, 3)]}" x="{x:.1f}%" width="{max(width - 0.4, 0):.1f}%" height="6"/>'
        )
        x += width
    return mark_safe(f'<svg class="scorebar" aria-hidden="true">{"".join(rects)}</svg>')


def fingerprint(digest: Any) -> SafeString:
    """``{% fingerprint digest %}``: its first 24 digits as a pattern, to tell two digests apart at a glance."""
    digits = [int(char, 16) for char in str(digest)[:24] if char in "0123456789abcdef"]
    rects = "".join(
        f'<rect class="f{digit % 4 + 1}" x="{1 + 8 * (at % 8)}" y="{0.5 + 7.5 * (at // 8):.1f}" '
        f'width="7" height="6.5" rx="1"/>'
        for at, digit in enumerate(digits)
    )
    return mark_safe(f'<svg class="fp" aria-hidden="true">{rects}</svg>')
