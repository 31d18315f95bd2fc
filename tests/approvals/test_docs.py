"""docs/workflow.md says what the code does."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

from approvals.domain import hooks, incident, notices, sla, ticket, workflow
from approvals.selectors import waiting
from approvals.selectors.items import figures
from approvals.services import acts, commits, wire
from projections.models import Finding

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "workflow.md").read_text()


def tables(title: str) -> list[list[list[str]]]:
    """The tables under a heading, each as rows of cells without its head."""
    text = PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines()]
        found.append([[cell.strip(" |") for cell in row] for row in rows[2:]])
    return found


def test_states() -> None:
    (rows,) = tables("States")
    assert [row[0].strip("`") for row in rows] == list(workflow.STATES)
    assert [row[0].strip("`") for row in rows if row[1].startswith("over:")] == list(workflow.TERMINAL)


def test_actions() -> None:
    (rows,) = tables("Actions")
    assert [row[0].strip("`") for row in rows] == list(workflow.ACTIONS) == list(acts.PAST)
    for name, sources, target, who, eyes, reason in rows:
        told = workflow.TABLE[name.strip("`")]  # type: ignore[index]
        assert sources == ("any" if told.sources == workflow.STATES else ", ".join(told.sources)), name
        assert target == (told.target or "the same"), name
        assert who == ", ".join(told.who), name
        assert (eyes, reason) == ("yes" if told.four_eyes else "no", "yes" if told.reason else "no"), name


def test_tickets() -> None:
    (rows,) = tables("Tickets")
    named = set(re.findall(r"`(action\.\w+)`", " ".join(row[1] for row in rows)))
    assert named == {*ticket.FAULTS, commits.UNKNOWN}
    assert all(f"`{key}`" in PAGE for key in ticket.BOUND_KEYS)


def test_the_standard_policy() -> None:
    rows = tables("Service levels")[0]
    standard = sla.STANDARD
    expected = []
    for name, moment in (("reminder", standard.reminder), ("risk", standard.risk)):
        assert moment is not None
        expected.append([name, moment.of, str(moment.seconds)])
    expected.append(["deadline", "start", str(standard.deadline.seconds)])
    for number, level in enumerate(standard.escalations, 1):
        expected.append([f"escalation {number} to `{level.to}`", level.of, str(level.seconds)])
    assert standard.expiry is not None
    expected.append(["expiry", standard.expiry.of, str(standard.expiry.seconds)])
    assert rows == expected


def test_every_key_of_a_policy() -> None:
    rows = tables("Service levels")[1]
    named = {key for row in rows for key in re.findall(r"`(\w+)`", row[0])}
    assert named == set(sla.Policy.model_fields)


def test_the_example_is_a_policy() -> None:
    example = json.loads(PAGE.split("```json\n", 1)[1].split("```", 1)[0])
    assert sla.Policy.model_validate(example["definition"]).deadline.fact == "deadline"


def test_incidents() -> None:
    sources, actions = tables("Incidents")
    named = set(re.findall(r"`(\w+\.\w+)`", " ".join(row[1] for row in sources)))
    code = "".join(path.read_text() for path in (ROOT / "approvals" / "services").rglob("*.py"))
    said = set(re.findall(r'cause=f?"([^"]+)"', code))
    assert "projection.{row.kind}" in said
    kinds = {f"projection.{Finding.MISMATCH}", f"projection.{Finding.STALE}"}
    assert named == (said - {"projection.{row.kind}"}) | kinds
    assert sources[0][1].startswith("`action.*`")
    for name, from_, target, words in actions:
        told = incident.TABLE[name.strip("`")]
        assert from_ == ("any" if told.sources == incident.STATES else ", ".join(told.sources)), name
        assert (target, words) == (told.target or "the same", "yes" if told.text else "no"), name
    assert len(actions) == len(incident.TABLE)


def test_notifications() -> None:
    (rows,) = tables("Being told")
    told = {True: "yes", False: "no"}
    assert [[row[0].strip("`"), *row[1:]] for row in rows] == [
        [kind, words, told[notices.DEFAULTS[kind].inbox], told[notices.DEFAULTS[kind].email]]
        for kind, words in notices.KINDS.items()
    ]


def test_figures_in_sentences() -> None:
    """Numbers that would go wrong quietly."""
    text = " ".join(PAGE.split())
    pauses = [str(seconds) for seconds in hooks.PAUSES]
    assert f"after {', '.join(pauses[:-1])} and {pauses[-1]} s" in text
    assert f"both sign for {hooks.OVERLAP // timedelta(hours=1)} hours" in text
    assert f"`wait_ms` up to {waiting.LONGEST_WAIT_MS:,}" in text
    assert (len(pauses) + 1, figures.MOST_LATE, wire.TOTAL_SECONDS) == (11, 5.0, 10.0)
    assert "eleven attempts" in text
    assert "none waits longer than five seconds" in text
    assert "An attempt may take 10 s" in text
