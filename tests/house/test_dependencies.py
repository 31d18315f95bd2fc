"""Every dependency is pinned with hashes, explained, and the same in tests as in production."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", re.MULTILINE)


def plain(name: str) -> str:
    """A package name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def asked_for(kind: str) -> set[str]:
    """Names (with extras) in an .in file."""
    lines = (REQUIREMENTS / f"{kind}.in").read_text().splitlines()
    return {re.split(r"[<>=]", line)[0].strip() for line in lines if line and not line.startswith(("#", "-"))}


KINDS = ["base", "otel", "dev", "uv"]
EVERYTHING = set().union(*map(asked_for, KINDS))


def pins(kind: str) -> dict[str, set[str]]:
    """Pinned versions by name; several where Python versions differ."""
    found: dict[str, set[str]] = {}
    for name, version in PINNED.findall((REQUIREMENTS / f"{kind}.txt").read_text()):
        found.setdefault(plain(name), set()).add(version)
    return found


def explained() -> dict[str, list[str]]:
    """The rows of docs/dependencies.md by package name."""
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", (ROOT / "docs/dependencies.md").read_text(), re.MULTILINE
    )
    return {name.strip(): [what.strip(), why.strip()] for name, what, why in rows if name.strip() != "package"}


def test_every_dependency_has_its_line_and_no_line_is_left_over() -> None:
    assert set(explained()) == EVERYTHING
    assert all(what and why for what, why in explained().values())


@pytest.mark.parametrize("kind", KINDS)
def test_pins_have_hashes_and_name_no_place(kind: str) -> None:
    text = (REQUIREMENTS / f"{kind}.txt").read_text()
    blocks = re.split(r"\n(?=[A-Za-z])", text.strip())
    assert len(blocks) == sum(len(versions) for versions in pins(kind).values())
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"://|file:| @ |--(extra-)?index|--find-links", text)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_asked_for_is_pinned(kind: str) -> None:
    names = {plain(re.sub(r"\[.*\]", "", name)) for name in asked_for(kind)}
    assert names <= set(pins(kind))


def test_tests_run_with_what_production_runs() -> None:
    base, otel, dev = pins("base"), pins("otel"), pins("dev")
    assert {name: otel.get(name) for name in base} == base
    assert {name: dev.get(name) for name in otel} == otel


def test_a_missing_line_would_be_noticed() -> None:
    rows = explained()
    rows.pop("django")
    assert set(rows) != EVERYTHING
