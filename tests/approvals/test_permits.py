"""The permit log: a policy whose deadline is a fact of the case, tried on real traces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from approvals.domain import sla
from approvals.selectors import trial
from decisiongraph.core.db import tenant_tx
from tests.approvals.house import House

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

LOG = Path(__file__).resolve().parents[3] / "shared" / "data" / "bpi" / "receipt.csv"
MAPPING = Path(__file__).resolve().parents[2] / "docs" / "imports" / "receipt.toml"
POLICY: dict[str, Any] = {
    "clock": {"start": {"event_type": "TraceStarted"}, "stop": {"event_type": "TraceFinished", "at": "end_date"}},
    "deadline": {"fact": "deadline"},
}


@pytest.mark.skipif(not LOG.exists(), reason="the permit log is not beside the project")
def test_377_late_952_in_time_105_open(house: House) -> None:
    call_command("import_traces", str(LOG), tenant=house.tenant.slug, format_name="csv", mapping=MAPPING)
    house.follow()
    assert house.items() == [], "history opens no work"
    found = trial.try_policy(
        house.tenant, sla.Policy.model_validate(POLICY), over="traces", workflow="permit-receipt"
    ).as_json()
    assert (found["late"], found["in_time"], found["open"], found["cases"]) == (377, 952, 105, 1434)
    # The control: without the fact of the end the last event of the case counts, and the figures differ.
    blunt = {**POLICY, "clock": {"start": {"event_type": "TraceStarted"}, "stop": {"event_type": "TraceFinished"}}}
    other = trial.try_policy(house.tenant, sla.Policy.model_validate(blunt), over="traces").as_json()
    assert other["late"] != 377
    with tenant_tx(house.tenant):
        assert found["worst"][0]["over_seconds"] > 0
