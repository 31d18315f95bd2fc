"""The one tag library of the console: ``{% load dg %}``.

`words` turns values into the words and figures an operator reads, `marks` chooses shape and tone,
`tree` shows hostile JSON safely, `charts` draws quantities as SVG with percent attributes (the
content security policy forbids inline styles). The functions are plain and typed; this file only
gives them their template names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import template

from decisiongraph.core.templatetags.dg import charts, marks, tree, words

register = template.Library()

_FILTERS: dict[str, Callable[..., Any]] = {
    "number": words.number,
    "counted": words.counted,
    "duration": words.duration,
    "compact_duration": words.compact_duration,
    "bytesize": words.bytesize,
    "percent": words.percent,
    "clock": words.clock_time,
    "visible": words.visible,
    "middle": words.middle,
    "initials": words.initials,
    "tone": marks.tone,
    "word": marks.word,
    "event_word": marks.event_word,
    "event_tone": marks.event_tone,
    "event_mark": marks.event_mark,
}
for name, function in _FILTERS.items():
    register.filter(name, function)

_TAGS: dict[str, Callable[..., Any]] = {
    "when": words.when,
    "since": words.since,
    "countdown": words.countdown,
    "shortid": words.short_id,
    "copy": words.copy_button,
    "shape": marks.shape,
    "icon": marks.icon,
    "state": marks.state,
    "badge": marks.badge,
    "event": marks.event,
    "payload": tree.payload,
    "progress": charts.progress,
    "spark": charts.spark,
    "bars": charts.bars,
    "buckets": charts.buckets,
    "scorebar": charts.scorebar,
    "fingerprint": charts.fingerprint,
}
for name, function in _TAGS.items():
    register.simple_tag(function, name=name)
register.simple_tag(words.who, name="who", takes_context=True)
