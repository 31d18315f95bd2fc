"""The airline runs of tau-bench in a tenant: imported, projected and learned as a customer's would be.

50 tasks, four trials each. A query is one run, relevant are the other three trials of its task, the
corpus are the other 199 runs. The task number is only the judge. User, reservation and every other
identifier is masked in query and corpus.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from django.core.management import call_command

from decisiongraph.core.db import tenant_tx
from projections import engine, services
from projections.domain.precedents.question import Question
from projections.domain.precedents.situation import Case, identifiers
from projections.domain.precedents.words import masked
from projections.models import SituationRow
from projections.selectors.situations import as_case
from tenants.models import Tenant

REPO = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("DG_SHARED_DATA", REPO.parent / "shared" / "data"))
RUNS = SHARED / "taubench" / "gpt-4o-airline.json"
MAPPING = REPO / "docs" / "imports" / "taubench-airline.toml"


class Run(NamedTuple):
    """What one run asks with."""

    trace_id: str
    task: int
    turns: tuple[str, ...]
    """What the person said, a turn each, masked."""
    answers: str
    """What tools answered, masked."""

    def question(self, *, whole: bool) -> Question:
        """The first user turn, or all of them: no tool result and no action is known."""
        said = "\n".join(self.turns if whole else self.turns[:1])
        return Question(
            workflow="airline-desk", entity_type="customer", text=said[:8000], without=self.trace_id, limit=50
        )


class Desk(NamedTuple):
    """All runs, and the cases that were learned of them."""

    tenant: Tenant
    runs: tuple[Run, ...]
    cases: tuple[Case, ...]
    """In the order of the runs."""
    identifiers: frozenset[str]

    @property
    def task(self) -> dict[str, int]:
        """Trace id -> task."""
        return {run.trace_id: run.task for run in self.runs}

    @property
    def relevant(self) -> dict[str, list[str]]:
        """Trace id -> the other trials of its task."""
        return {
            run.trace_id: [other.trace_id for other in self.runs if other.task == run.task and other is not run]
            for run in self.runs
        }


def _names(runs: list[dict[str, Any]]) -> Iterator[str]:
    for run in runs:
        yield run["info"]["task"]["user_id"]
        for message in run["traj"]:
            yield from identifiers(message.get("content"))
            for call in message.get("tool_calls") or []:
                yield from identifiers(call["function"]["arguments"])


def _said(run: dict[str, Any], role: str, names: frozenset[str]) -> Iterator[str]:
    for message in run["traj"]:
        if message["role"] == role and message.get("content"):
            yield masked(" ".join(message["content"].split()), names)


def load(tenant: Tenant) -> Desk:
    """Import the runs into an empty tenant and learn them."""
    runs = json.loads(RUNS.read_bytes())
    names = frozenset(_names(runs))
    with open(os.devnull, "w") as quiet:
        call_command(
            "import_traces", RUNS, tenant=tenant.slug, format_name="chat", mapping=MAPPING, stdout=quiet, stderr=quiet
        )
    while engine.catch_up(tenant).more:
        pass
    while services.learn(tenant):
        pass
    asking = tuple(
        Run(
            f"airline-task{run['task_id']}-trial{run['trial']}",
            run["task_id"],
            tuple(_said(run, "user", names)),
            "\n".join(_said(run, "tool", names)),
        )
        for run in runs
    )
    with tenant_tx(tenant):
        learned = {row.trace_id: as_case(row) for row in SituationRow.objects.all()}
    return Desk(tenant, asking, tuple(learned[run.trace_id] for run in asking), names)
