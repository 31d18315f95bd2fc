"""A JSON payload as a tree of ``<details>``: works without script, by keyboard, and cannot lie.

Payloads are hostile input: up to 20,000 nodes and 32 levels of anything a producer likes. Every
string goes through `words.visible`; the tree is cut at `MAX_NODES` and says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from decisiongraph.core.templatetags.dg.words import visible

_PLAIN_KEY = re.compile(r"[A-Za-z_][\w-]*\Z", re.ASCII)

MAX_NODES = 1500
OPEN_DEPTH = 4
"""Deeper levels start closed."""
OPEN_ITEMS = 25
"""A longer list or object starts closed."""
LONG_STRING = 600
"""Longer strings are folded behind their beginning."""
MAX_TEXT = 20_000
"""Characters of all strings together; what is left out is said."""


class _Budget:
    """How many more nodes and characters may be drawn, and how many nodes were left out."""

    def __init__(self, nodes: int) -> None:
        self.text = MAX_TEXT
        self.left = nodes
        self.cut = 0


def payload(value: Any, name: str = "payload", limit: int = MAX_NODES) -> SafeString:
    """``{% payload event.payload %}``: the tree; ``None`` is an erased body and says so."""
    if value is None:
        return mark_safe(
            '<p class="tree-none">The body of this event was erased. Its envelope, commitment and proofs stay.</p>'
        )
    budget = _Budget(int(limit))
    html = _node(str(name), value, str(name), 0, budget)
    note = (
        f'<p class="tree-none">At least {budget.cut:,} more values are not drawn here; '
        "the raw JSON holds all of them.</p>"
        if budget.cut
        else ""
    )
    return mark_safe(f'<div class="tree" data-tree><ul>{html}</ul>{note}</div>')


def _node(label: str, value: Any, path: str, depth: int, budget: _Budget) -> str:
    if budget.left <= 0:
        budget.cut += 1
        return ""
    budget.left -= 1
    key = _key(label, path)
    if isinstance(value, dict) and value:
        children: Iterable[tuple[str, Any, str]] = ((str(k), v, _path(path, str(k))) for k, v in value.items())
        size = f"{len(value)} key" + ("" if len(value) == 1 else "s")
        return _branch(key, children, size, len(value), depth, budget)
    if isinstance(value, (list, tuple)) and value:
        children = ((str(i), v, f"{path}[{i}]") for i, v in enumerate(value))
        size = f"{len(value)} item" + ("" if len(value) == 1 else "s")
        return _branch(key, children, size, len(value), depth, budget)
    return f"<li>{key} {_leaf(value, budget)}</li>"


def _branch(
    key: str, children: Iterable[tuple[str, Any, str]], size: str, length: int, depth: int, budget: _Budget
) -> str:
    is_open = " open" if depth < OPEN_DEPTH and length <= OPEN_ITEMS else ""
    body = "".join(_node(label, value, path, depth + 1, budget) for label, value, path in children)
    return f'<li><details{is_open}><summary>{key} <span class="p">{size}</span></summary><ul>{body}</ul></details></li>'


def _path(parent: str, key: str) -> str:
    """The path to copy: ``a.b`` for plain keys, ``a["…"]`` in JSON escapes for all others."""
    return f"{parent}.{key}" if _PLAIN_KEY.match(key) else f"{parent}[{json.dumps(key)}]"


def _key(label: str, path: str) -> str:
    return format_html('<span class="k" data-path="{}">{}</span>', path, visible(label))


def _leaf(value: Any, budget: _Budget) -> str:
    if isinstance(value, str):
        whole, value = len(value), value[: max(80, budget.text)]
        budget.text -= len(value)
        if len(value) < whole:
            return (
                f'<span class="str">"{visible(value)}…"</span> '
                f'<span class="p">{whole:,} characters, {whole - len(value):,} not drawn here</span>'
            )
        if len(value) > LONG_STRING:
            return (
                f'<details class="long"><summary><span class="str">"{visible(value[:80])}…"</span> '
                f'<span class="p">{len(value):,} characters</span></summary>'
                f'<span class="str">"{visible(value)}"</span></details>'
            )
        return f'<span class="str">"{visible(value)}"</span>'
    if isinstance(value, bool) or value is None:
        return f'<span class="lit">{ {True: "true", False: "false", None: "null"}[value] }</span>'
    if isinstance(value, (int, float)):
        return f'<span class="nmb">{value!r}</span>'
    if isinstance(value, dict):
        return '<span class="p">{} empty</span>'
    if isinstance(value, (list, tuple)):
        return '<span class="p">[] empty</span>'
    return f'<span class="str">{escape(value)}</span>'
