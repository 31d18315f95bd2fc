"""Values as words: figures, durations, moments, identifiers. Everything here escapes its input."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from decisiongraph.core import clock

# Letters that render as nothing at all, and the joiner that hides between letters.
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u034f\u2800")
_HIDING = frozenset(("Cc", "Cf", "Zl", "Zp", "Co", "Cs", "Cn"))
_NAMED_BREAKS = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def number(value: Any) -> str:
    """A figure with thousands separators: ``1,284,902``. Floats keep at most two digits; absent is
    ``none``, because a blank cell does not say whether it was looked at."""
    if value is None or value == "":
        return "none"
    if isinstance(value, float) and not value.is_integer():
        digits = 2 if abs(value) < 10 else 1
        return f"{value:,.{digits}f}".rstrip("0").rstrip(".")
    try:
        return f"{int(value):,}"
    except (TypeError, ValueError):
        return str(value)


def counted(value: Any, noun: str) -> str:
    """A figure with its noun, ``926 events``; ``noun`` may be ``"entry,entries"``."""
    one, _, many = noun.partition(",")
    return f"{number(value)} {one if value == 1 else many or one + 's'}"


def _seconds(value: Any) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (int, float)):
        return float(value)
    return None


def duration(value: Any) -> str:
    """Seconds (number or timedelta) in words, two units at most: ``2 min 14 s``, ``236 ms``."""
    seconds = _seconds(value)
    if seconds is None:
        return "none"
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    if seconds == 0:
        return "0 s"
    if seconds < 0.9995:
        return f"{sign}{max(1, round(seconds * 1000))} ms"
    if seconds < 9.995 and not seconds.is_integer():
        return f"{sign}{seconds:.2f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{sign}{whole} s"
    if whole < 3600:
        return f"{sign}{whole // 60} min {whole % 60:02d} s".replace(" 00 s", "")
    if whole < 86_400:
        return f"{sign}{whole // 3600} h {whole % 3600 // 60:02d} min".replace(" 00 min", "")
    days, hours = whole // 86_400, whole % 86_400 // 3600
    text = f"{sign}{days:,} day" + ("" if days == 1 else "s")
    return text + (f" {hours} h" if hours and days < 60 else "")


def compact_duration(value: Any) -> str:
    """Seconds as a clock, ``1:52`` or ``2:10:05``, for a column of durations."""
    seconds = _seconds(value)
    if seconds is None:
        return "none"
    whole = round(abs(seconds))
    if whole >= 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}"


def bytesize(value: Any) -> str:
    """Bytes in the unit a person reads: ``613 bytes``, ``4.2 KiB``."""
    if value is None:
        return "none"
    size = float(value)
    if size < 1024:
        return f"{size:.0f} bytes"
    for unit in ("KiB", "MiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} GiB"


def percent(value: Any, maximum: Any = 1) -> str:
    """A share as ``64 %``; never rounds an unfinished thing up to 100."""
    if value is None or not maximum:
        return "none"
    share = 100 * float(value) / float(maximum)
    return f"{min(share, 99.0) if share < 100 else share:.0f} %"


def _moment(value: Any) -> datetime | None:
    if isinstance(value, str):
        value = parse_datetime(value)
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def clock_time(value: Any, digits: int = 0) -> str:
    """The time of day in UTC with 0, 3 or 6 digits of a second: ``09:41:11.914``."""
    moment = _moment(value)
    if moment is None:
        return "none"
    text = moment.astimezone(UTC).strftime("%H:%M:%S.%f")
    return text[:8] if not digits else text[: 9 + int(digits)]


def exact(moment: datetime) -> str:
    """The exact moment for a hover: ``2026-03-14 10:22:17.123 UTC``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def relative(moment: datetime, now: datetime) -> str:
    """How long ago (or ahead) in words. Must agree with ``static/js/time.js``, which keeps it moving."""
    delta = (now - moment).total_seconds()
    span = abs(delta)
    if span < 1:
        return "now"
    if span < 60:
        text = f"{int(span)} s"
    elif span < 3600:
        text = f"{int(span // 60)} min"
    elif span < 86_400:
        text = f"{int(span // 3600)} h"
    elif span < 7 * 86_400:
        days = int(span // 86_400)
        text = f"{days} day" + ("" if days == 1 else "s")
    else:
        local, today = moment.astimezone(UTC), now.astimezone(UTC)
        return f"{local.day} {local:%b}" + ("" if local.year == today.year else f" {local.year}")
    return f"{text} ago" if delta > 0 else f"in {text}"


def when(value: Any, empty: str = "never") -> SafeString:
    """``{% when moment %}``: relative time that keeps moving, the exact time on hover."""
    moment = _moment(value)
    if moment is None:
        return format_html('<span class="mut">{}</span>', empty)
    return format_html(
        '<time datetime="{}" title="{}" data-time="ago">{}</time>',
        moment.isoformat(),
        exact(moment),
        relative(moment, clock.now()),
    )


def since(value: Any, empty: str = "none") -> SafeString:
    """``{% since moment %}``: how long something has lasted, counting up: ``2 min 14 s``."""
    moment = _moment(value)
    if moment is None:
        return format_html('<span class="mut">{}</span>', empty)
    return format_html(
        '<time datetime="{}" title="since {}" data-time="since">{}</time>',
        moment.isoformat(),
        exact(moment),
        duration(float(int((clock.now() - moment).total_seconds()))),
    )


def countdown(value: Any, empty: str = "no deadline") -> SafeString:
    """``{% countdown moment %}``: time left as ``17:42``, ticking; afterwards ``6 min late``."""
    moment = _moment(value)
    if moment is None:
        return format_html('<span class="mut">{}</span>', empty)
    left = (moment - clock.now()).total_seconds()
    text = compact_duration(left) if left >= 0 else f"{duration(float(int(-left)))} late"
    return format_html(
        '<time datetime="{}" title="{}" data-time="left">{}</time>', moment.isoformat(), exact(moment), text
    )


def _hides(char: str) -> bool:
    return char in _BLANK_LETTERS or unicodedata.category(char) in _HIDING


def tooltip(value: Any) -> str:
    """`visible` for an attribute, where no markup can stand: ``[U+202E]``."""
    return "".join(f"[U+{ord(char):04X}]" if _hides(char) else char for char in str(value))


def visible(value: Any) -> SafeString:
    """Hostile text made honest: escaped, with characters that hide or turn text around shown as
    ``U+202E`` marks, isolated so that it cannot reorder what stands beside it."""
    text = str(value)
    # Printable ASCII is nearly everything and needs neither marks nor isolation.
    if text.isascii() and text.isprintable():
        return escape(text)
    parts: list[str] = []
    for char in text:
        if char in _NAMED_BREAKS:
            parts.append(f'<span class="cc">{_NAMED_BREAKS[char]}</span>')
        elif _hides(char):
            name = escape(unicodedata.name(char, "no name"))
            parts.append(f'<span class="cc" title="{name}">U+{ord(char):04X}</span>')
        else:
            parts.append(escape(char))
    return mark_safe(f"<bdi>{''.join(parts)}</bdi>")


def middle(value: Any, keep: int = 12) -> str:
    """A long identifier with its middle left out: ``b3f1…9c02``; short ones stay whole."""
    text = str(value)
    if len(text) <= keep:
        return text
    head = int(keep) // 2
    return f"{text[:head]}…{text[-(int(keep) - 1 - head) :]}"


def copy_button(value: Any, what: str = "") -> SafeString:
    """``{% copy value "trace id" %}``: a button that puts the whole value on the clipboard."""
    return format_html(
        '<button class="copy" type="button" data-copy="{}" aria-label="Copy {}">'
        '<svg class="icon" aria-hidden="true"><use href="#i-copy"/></svg></button>',
        value,
        what or "value",
    )


def short_id(value: Any, what: str = "id", keep: int = 12, href: str = "") -> SafeString:
    """``{% shortid value "trace id" 12 url %}``: shortened, whole on hover, copied on click."""
    if value is None or value == "":
        return mark_safe('<span class="mut">none</span>')
    label = visible(middle(value, keep))
    inner = format_html('<a href="{}">{}</a>', href, label) if href else label
    return format_html('<span class="id" title="{}">{}{}</span>', tooltip(value), inner, copy_button(value, what))


def who(context: Mapping[str, Any], ident: Any) -> SafeString:
    """``{% who line.by %}``: a person by name, with the e-mail on hover; everybody else as they are written."""
    text = str(ident or "")
    address = text.removeprefix("user:")
    name = context.get("people", {}).get(address)
    if name is None:
        return visible(address)
    return format_html('<span title="{}">{}</span>', tooltip(address), visible(name))


def initials(value: Any) -> str:
    """One or two letters for a person's mark: ``Jonas Weber`` is ``JW``."""
    words = [part for part in str(value).replace("@", " ").replace(".", " ").split() if part[0].isalnum()]
    return "".join(part[0] for part in words[:2]).upper() or "?"
