"""One line per row, with its figures."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.trust.rows import ROWS
from tests.trust.sizes import LEVEL, SEED

PROPERTY = "trust"


class Ran(NamedTuple):
    """One test of a row."""

    name: str
    control: bool
    outcome: str
    seconds: float
    figures: dict[str, Any]


_ran: dict[str, list[Ran]] = defaultdict(list)


def marks(item: pytest.Item) -> Iterator[tuple[str, bool, bool]]:
    """Row, whether it is the control, whether it is left to `make trust`."""
    for mark in item.iter_markers("trust"):
        (row,) = mark.args
        if row not in ROWS:
            raise pytest.UsageError(f"{item.nodeid}: there is no row {row}")
        yield row, bool(mark.kwargs.get("control")), bool(mark.kwargs.get("heavy"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What starts servers of its own runs in `make trust` only; that may ask for some rows."""
    chosen = set(filter(None, os.environ.get("TRUST_ROWS", "").split(",")))
    left_out = []
    for item in items:
        found = list(marks(item))
        if (not LEVEL and any(heavy for *_, heavy in found)) or (chosen and not chosen & {row for row, *_ in found}):
            left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Say what was measured: ``figures(events=5000, lost=0)``; shown in the line of the row."""
    return lambda **measured: request.node.user_properties.append(("figures", measured))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """The row goes along with the report, from a worker process too."""
    for row, control, _ in marks(item):
        item.user_properties.append((PROPERTY, (row, control)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Gather, in the process that writes the summary."""
    if report.when != "call" and report.passed:
        return
    measured: dict[str, Any] = {}
    for name, value in report.user_properties:
        if name == "figures" and isinstance(value, dict):
            measured |= value
    for name, value in report.user_properties:
        if name == PROPERTY:
            row, control = value  # type: ignore[misc]  # what `pytest_runtest_setup` put there
            _ran[row].append(Ran(report.nodeid, control, report.outcome, report.duration, measured))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The lines."""
    if not LEVEL:
        return
    terminalreporter.section(f"trust, seed {SEED}")
    for row in ROWS:
        terminalreporter.line(line(row, _ran[row]))
    if os.environ.get("TRUST_RESULTS"):
        kept = {row: [ran._asdict() for ran in found] for row, found in _ran.items()}
        Path(os.environ["TRUST_RESULTS"]).write_text(json.dumps({"seed": SEED, "rows": kept}, indent=1) + "\n")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A row that nobody tests is a failure, where all rows were asked for."""
    if LEVEL and os.environ.get("TRUST_ALL") and not hasattr(session.config, "workerinput"):
        lacking = [row for row in ROWS if verdict(row, _ran[row]) != "pass"]
        if lacking and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def verdict(row: str, found: list[Ran]) -> str:
    """``pass``, ``FAIL``, or what is lacking."""
    if any(ran.outcome == "failed" for ran in found):
        return "FAIL"
    if not any(ran.outcome == "passed" and not ran.control for ran in found):
        return "NO TEST"
    if ROWS[row].control and not any(ran.outcome == "passed" and ran.control for ran in found):
        return "NO CONTROL"
    return "pass"


def line(row: str, found: list[Ran]) -> str:
    """``A1  pass     7 s  a tailing reader ...: events 5,312, lost 0 | control: lost 231``"""
    seconds = sum(ran.seconds for ran in found)
    said = f"{row}  {verdict(row, found):<10} {seconds:5.0f} s  {ROWS[row].what}"
    own, wrong = (_words([ran for ran in found if ran.control is control]) for control in (False, True))
    return said + (f": {own}" if own else "") + (f" | control: {wrong}" if wrong else "")


def _words(found: list[Ran]) -> str:
    if not found:
        return ""
    measured: dict[str, Any] = {}
    for ran in found:
        measured |= ran.figures
    words = [f"{name.replace('_', ' ')} {_number(value)}" for name, value in measured.items()]
    tests = f"{len(found)} tests" if len(found) > 1 else "" if words else "1 test"
    return ", ".join([*words, *([tests] if tests else [])])


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if value < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
