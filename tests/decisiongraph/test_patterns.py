"""The tag library and the pattern page: honest text, no inline style or script, nothing unshown."""

from __future__ import annotations

import gzip
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import get_template, render_to_string
from hypothesis import given
from hypothesis import strategies as st

from decisiongraph.core.console import NAV
from decisiongraph.core.templatetags.dg import charts, marks, samples, tree, words

ROOT = Path(settings.BASE_DIR)
HIDING = re.compile("[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\u3164]")


@pytest.fixture(scope="module")
def page() -> str:
    return render_to_string("patterns.html", {**samples.context(), "nav": NAV})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "none"),
        (0, "0 s"),
        (0.236, "236 ms"),
        (1.86, "1.86 s"),
        (3, "3 s"),
        (9.999, "10 s"),
        (134, "2 min 14 s"),
        (3600, "1 h"),
        (timedelta(minutes=41, seconds=33), "41 min 33 s"),
        (90_000, "1 day 1 h"),
    ],
)
def test_duration_in_words(value: object, said: str) -> None:
    assert words.duration(value) == said


def test_figures() -> None:
    assert words.number(1_284_902) == "1,284,902"
    assert words.number(0.4) == "0.4"
    assert words.counted(1, "event") == "1 event"
    assert words.counted(2, "entry,entries") == "2 entries"
    assert words.percent(0.9999) == "99 %"
    assert words.bytesize(4300) == "4.2 KiB"
    assert words.middle("b3f1000000009c02", 9) == "b3f1…9c02"


def test_relative_time_says_both_directions() -> None:
    now = datetime(2026, 3, 14, 10, tzinfo=UTC)
    assert words.relative(now - timedelta(minutes=3), now) == "3 min ago"
    assert words.relative(now + timedelta(hours=2), now) == "in 2 h"
    assert words.relative(now - timedelta(days=40), now) == "2 Feb"


@given(st.text(max_size=80))
def test_hostile_text_is_escaped_and_nothing_stays_hidden(text: str) -> None:
    shown = str(words.visible(text))
    inside = re.sub(r"</?bdi>|<span class=\"cc\"[^<>]*>|</span>", "", shown)
    assert not HIDING.search(shown)
    assert "<" not in inside
    assert ">" not in inside


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_payload_tree_never_lets_markup_through(value: object) -> None:
    shown = str(tree.payload({"value": value}))
    assert not HIDING.search(shown.replace("\n", ""))
    assert set(re.findall(r"<(\w+)", shown)) <= {"div", "ul", "li", "details", "summary", "span", "bdi", "p"}


def test_payload_tree_is_cut_and_says_so() -> None:
    assert "more values are not drawn" in tree.payload({"many": list(range(9000))})
    assert "erased" in tree.payload(None)


def test_unknown_state_says_its_own_name() -> None:
    assert "Half done" in marks.state("half_done")
    assert "&lt;b&gt;" in marks.state("<b>")


def test_chart_carries_its_meaning_as_a_sentence() -> None:
    assert 'aria-label="Events &amp; &lt;refusals&gt;"' in charts.bars(
        [1, 2], [0, 1], ["then", "now"], "Events & <refusals>"
    )


def test_page_keeps_the_content_policy(page: str) -> None:
    assert not re.search(r"<[^>]+\sstyle=", page)
    # htmx would copy a placed menu's style onto its successor as an attribute, which the policy refuses
    assert '"attributesToSettle": ["class", "width", "height"]' in page
    assert not re.search(r"<[^>]+\son\w+=", page)
    assert not re.search(r"<script(?![^>]+src=)", page)
    assert len(gzip.compress(page.encode())) < 60_000


def test_every_shape_used_exists(page: str) -> None:
    known = set(re.findall(r'<symbol id="([\w-]+)"', page))
    assert set(re.findall(r'<use href="#([\w-]+)"', page)) <= known
    named = {f"s-{look.shape}" for look in marks.STATES.values()} | {look.mark for look in marks.EVENTS.values()}
    assert named <= known


def test_no_id_twice(page: str) -> None:
    # the timeline and the running replay stand twice on the page, without ids of their own
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_every_component_is_shown() -> None:
    shown = "".join(path.read_text() for path in (ROOT / "templates").rglob("*.html"))
    patterns = (ROOT / "templates/patterns.html").read_text()
    for path in sorted((ROOT / "templates/components").glob("*.html")):
        name = f"components/{path.name}"
        get_template(name)
        assert f'"{name}"' in patterns or f'include "{name}"' in shown, f"{name} is used nowhere"


@pytest.mark.parametrize("code", [403, 404, 409, 500])
def test_error_pages_need_no_context(code: int) -> None:
    assert "Go to the overview" in render_to_string(f"errors/{code}.html", {})
