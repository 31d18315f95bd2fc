"""The precedents page: what it says of a search, and of the figures of the evaluation or their absence."""

from __future__ import annotations

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
