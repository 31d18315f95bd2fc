"""The style of a picture that leaves the console: the rules of the page with the tokens of one theme put in."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from django.conf import settings

_TOKEN = re.compile(r"--([\w-]+):\s*([^;]+);")
_BOTH = re.compile(r"light-dark\(\s*([^,()]+)\s*,\s*([^,()]+)\s*\)")
_VAR = re.compile(r"var\(--([\w-]+)(?:,\s*(var\(--[\w-]+\)|[^()]+))?\)")
_TONE = re.compile(r"\.tone-(\w+)\s*\{\s*--tone:\s*var\(--([\w-]+)\)")


@cache
def stylesheet(theme: str) -> str:
    """Plain CSS, readable by any program that draws SVG. ``theme``: ``light`` or ``dark``."""
    folder = Path(settings.BASE_DIR) / "static" / "css"
    tokens_css = (folder / "tokens.css").read_text()
    side = 2 if theme == "dark" else 1
    tokens: dict[str, str] = {}
    for name, written in _TOKEN.findall(tokens_css):
        both = _BOTH.fullmatch(written.strip())
        tokens.setdefault(name, both.group(side) if both else written.strip())
    tones = {name: tokens[ink] for name, ink in _TONE.findall(tokens_css)}
    tokens.pop("tone", None)
    rules = re.sub(r"/\*.*?\*/", "", (folder / "picture.css").read_text(), flags=re.S)
    rules = re.sub(r"^@layer [\w-]+ \{|^\}", "", rules, flags=re.M)

    def value(match: re.Match[str]) -> str:
        found = tokens.get(match.group(1))
        return found if found is not None else _VAR.sub(value, match.group(2) or "")

    plain = _VAR.sub(value, rules)
    painted = "".join(f".gp .tone-{name} {{ color: {colour}; }}\n" for name, colour in tones.items())
    return plain + painted
