"""One measured figure, and how a list of them is printed."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """A measurement held against what was asked."""

    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False
    """True: more is better; False: less is better."""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def machine() -> str:
    """The machine in one line."""
    model = ""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        pass
    name = model or platform.processor() or platform.machine()
    system = f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} cores, {name}, Python {platform.python_version()}, {system}"


def number(value: float) -> str:
    """Enough digits and no more."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(figures: Sequence[Figure]) -> str:
    """A Markdown table."""
    lines = ["| figure | measured | asked | |", "|---|---:|---:|---|"]
    for figure in figures:
        asked = (
            ""
            if figure.target is None
            else f"{'>=' if figure.at_least else '<='} {number(figure.target)} {figure.unit}"
        )
        verdict = {True: "met", False: "**missed**", None: ""}[figure.met]
        note = f"{verdict}; {figure.note}" if figure.note and verdict else verdict or figure.note
        lines.append(f"| {figure.name} | {number(figure.value)} {figure.unit} | {asked} | {note} |")
    return "\n".join(lines)
