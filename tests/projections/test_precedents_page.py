"""The precedents page: what it says of a search, and of the figures of the evaluation or their absence."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings

from projections import services
from projections.console.precedents import evaluation
from tests.pages import Shop, text
from tests.projections.test_precedent_search import LATE, refund

pytestmark = pytest.mark.django_db


@pytest.fixture
def fresh() -> Iterator[None]:
    """Figures are kept once read."""
    evaluation.cache_clear()
    yield
    evaluation.cache_clear()


def test_the_figures_are_those_that_were_written(db: None, fresh: None, tmp_path: Path) -> None:
    shop = Shop()
    written = json.loads(Path("docs/eval/precedents.json").read_bytes())
    written["queries"][0]["recall"] = 0.123
    target = tmp_path / "docs" / "eval" / "precedents.json"
    target.parent.mkdir(parents=True)
    target.write_text(json.dumps(written))
    with override_settings(BASE_DIR=tmp_path):
        said = text(shop.viewer.get(f"{shop.base}/precedents"))
    assert "0.123" in said
    assert f"held out {written['queries'][0]['held_recall']:.3f}" in said


def test_without_a_measurement_the_page_says_so(db: None, fresh: None, tmp_path: Path) -> None:
    shop = Shop()
    with override_settings(BASE_DIR=tmp_path):
        said = text(shop.viewer.get(f"{shop.base}/precedents"))
    assert "Not measured on this installation: run make eval" in said


def test_the_other_way_stands_first_and_every_part_is_told(db: None) -> None:
    shop = Shop()
    for number, outcome in ((1, "success"), (2, "success"), (3, "failure")):
        shop.append(refund(number, outcome, words=LATE))
    shop.catch_up()
    services.learn(shop.tenant)
    said = text(shop.viewer.get(f"{shop.base}/precedents", {"text": LATE}))
    assert "1 of the 3 decisions most like it went the other way" in said
    assert said.index("Decided the other way") < said.index("Refund 3") < said.index("Decided as success")
    for part in ("phrases of the request", "words near each other", "nearest cases"):
        assert part in said


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"text": "refund", "as_of": "9999999999999999"}, "As of event: Input should be less than or equal to"),
        ({"text": "refund", "as_of": "soon"}, "As of event: Input should be a valid integer"),
        ({"text": "refund", "facts": "cheap"}, "Facts: write facts as name=value, separated by commas; 'cheap'"),
        ({"facts": "amount=1, amount=2"}, "Facts: names amount more than once."),
        ({"policy": "cap"}, "Policy and version: must be <id>@<version>."),
    ],
)
def test_what_cannot_be_asked_is_said_beside_the_form_that_keeps_it(db: None, form: dict[str, str], said: str) -> None:
    shop = Shop()
    answer = shop.viewer.get(f"{shop.base}/precedents", form)
    assert answer.status_code == 400
    assert said in html.unescape(text(answer))
    assert "Nothing was searched" in text(answer)
    for name, value in form.items():
        assert f'name="{name}" value="{value}"' in answer.content.decode()
    embedded = shop.viewer.get(f"{shop.base}/precedents", {**form, "part": "aside"})
    assert (embedded.status_code, said in html.unescape(text(embedded))) == (400, True)


def test_nothing_alike_is_said_to_be_nothing(db: None) -> None:
    """Cases that share nothing with the question are no precedents, however few there are."""
    shop = Shop()
    shop.append(refund(1, "failure", words=LATE))
    shop.catch_up()
    services.learn(shop.tenant)
    said = text(shop.viewer.get(f"{shop.base}/precedents", {"text": "xyzzy"}))
    assert "No finished decision is like this one" in said
    assert "All 1" in text(shop.viewer.get(f"{shop.base}/precedents", {"text": LATE}))
