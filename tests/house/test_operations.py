"""Alerts, dashboard and runbooks name only what exists: metrics, labels, pages, commands, addresses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands
from django.urls import Resolver404, resolve
from prometheus_client.metrics import MetricWrapperBase

from decisiongraph.core import health
from decisiongraph.core.telemetry import metrics, scrape

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "operations"
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
NAME = re.compile(r"\bdg_[a-z_]+\b")
ROLES = {"dg_app", "dg_owner", "dg_finder", "dg_backup"}
SHELL = {
    "curl",
    "grep",
    "psql",
    "redis-cli",
    "df",
    "du",
    "docker",
    "make",
    "python",
    "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318",
}


CHECKED = ("dg_timers_ok", "dg_timers_due_unfired", "dg_timers_latest_seconds")
"""What the checks of `core.health` become in `/metrics`."""


def test_the_checks_are_these(db: None) -> None:
    found = {f"dg_{name}_{figure}" for name, check in health.checks.items() for figure in check.everywhere()}
    assert found == set(CHECKED)


def series() -> dict[str, tuple[str, ...]]:
    """Every series there is, and its labels."""
    found: dict[str, tuple[str, ...]] = {}
    for value in vars(metrics).values():
        if isinstance(value, MetricWrapperBase):
            for suffix in SUFFIXES[value._type]:
                found[value._name + suffix] = (*value._labelnames, *(["le"] if suffix == "_bucket" else []))
    for gauge in scrape.Gauge.declared.values():
        found[gauge.name] = gauge.labels
    return found | dict.fromkeys(CHECKED, ())


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((PAGES / "alerts.yml").read_text())["groups"]
    return list(group["rules"])


def panels() -> list[dict[str, Any]]:
    return list(json.loads((PAGES / "dashboard.json").read_text())["panels"])


def expressions() -> list[tuple[str, str]]:
    """Where, and the PromQL."""
    found = [(rule["alert"], rule["expr"]) for rule in alerts()]
    return found + [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]


@pytest.mark.parametrize(("where", "expression"), expressions())
def test_every_metric_and_label_of_an_expression_exists(where: str, expression: str) -> None:
    known = series()
    names = NAME.findall(expression)
    assert names or "up{" in expression, f"{where} looks at nothing"
    for name in names:
        assert name in known, f"{where}: there is no {name}"
    for name, inside in re.findall(r"(dg_[a-z_]+)\{([^}]*)\}", expression):
        for label in re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", inside):
            assert label in known[name], f"{where}: {name} has no label {label}"
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        for label in filter(None, (part.strip() for part in grouped.split(","))):
            assert any(label in known[name] for name in names), f"{where}: nothing has a label {label}"


def test_a_name_that_is_gone_would_be_noticed() -> None:
    with pytest.raises(AssertionError, match="there is no dg_gone_total"):
        test_every_metric_and_label_of_an_expression_exists("x", "rate(dg_gone_total[5m])")
    with pytest.raises(AssertionError, match="no label colour"):
        test_every_metric_and_label_of_an_expression_exists("x", 'dg_queue_depth{colour="red"}')


def test_metrics_named_in_pages_exist() -> None:
    known = series()
    stems = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in known}
    for page in PAGES.glob("*.md"):
        for name in set(NAME.findall(page.read_text())) - ROLES:
            assert name in stems or any(stem.startswith(name) for stem in stems), f"{page.name} names {name}"


def test_every_metric_is_explained() -> None:
    page = (PAGES / "observability.md").read_text()
    for name in {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in series()}:
        assert name in page or name.startswith(("dg_approval", "dg_incidents")), f"{name} is not explained"


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    named = {rule["annotations"]["runbook"] for rule in alerts()}
    assert all((PAGES / page).exists() for page in named)
    runbooks = {path.name for path in PAGES.glob("*.md")} - {"README.md", "observability.md"}
    assert named == runbooks
    index = (PAGES / "README.md").read_text()
    assert all(f"({page})" in index for page in [*runbooks, "observability.md", "alerts.yml", "dashboard.json"])


def commands() -> list[tuple[str, str]]:
    """Page and command line of every indented block."""
    found = []
    for page in PAGES.glob("*.md"):
        text = re.sub(r"\\\n\s*", "", page.read_text())
        found += [(page.name, line.strip()) for line in re.findall(r"^ {4,10}(\S.*)$", text, re.MULTILINE)]
    return [(page, line) for page, line in found if line.split()[0] in SHELL]


def test_runbooks_have_commands() -> None:
    assert len(commands()) > 20


@pytest.mark.parametrize(("page", "line"), commands())
def test_commands_of_a_runbook_exist(page: str, line: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"\bmake ([a-z-]+)", line):
        assert target in targets, f"{page}: make {target}"
    for command in re.findall(r"manage\.py ([a-z_]+)", line):
        assert command in get_commands(), f"{page}: manage.py {command}"
    for path in re.findall(r"http://localhost:8000(/[^\s'\"?]*)", line):
        try:
            resolve(path)
        except Resolver404:
            pytest.fail(f"{page}: nothing at {path}")
    if line.startswith("docker compose"):
        services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
        used = re.sub(r"^docker compose (?:ps|restart|up -d|run --rm)", "", line).replace("--scale", "").split()
        for word in used:
            assert word.partition("=")[0] in services, f"{page}: no service {word}"


def test_commands_named_in_text_exist() -> None:
    for page in PAGES.glob("*.md"):
        for command in re.findall(r"`(?:python )?manage\.py ([a-z_]+)", page.read_text()):
            assert command in get_commands(), f"{page.name}: manage.py {command}"
