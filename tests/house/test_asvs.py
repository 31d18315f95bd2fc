"""docs/asvs.csv: every requirement of levels 1 and 2 has a test that exists, or says plainly why not."""

from __future__ import annotations

import ast
import csv
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATUSES = {"met", "partial", "gap", "none"}
LEVELS = {"1": 70, "2": 183}
"""How many requirements ASVS 5.0.0 has on these levels."""


def rows() -> list[dict[str, str]]:
    with (ROOT / "docs" / "asvs.csv").open() as file:
        return list(csv.DictReader(file))


@cache
def functions(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def missing(name: str) -> bool:
    """Whether a named test is not there."""
    place, _, function = name.partition("::")
    path = ROOT / place
    return not path.is_file() or bool(function and function not in functions(path))


def test_every_named_test_exists() -> None:
    assert [(row["id"], name) for row in rows() for name in row["tests"].split() if missing(name)] == []


def test_the_control_an_invented_test_is_noticed() -> None:
    assert missing("tests/house/test_asvs.py::test_that_nobody_wrote")
    assert missing("tests/house/test_nothing.py")


def test_every_requirement_is_there_once() -> None:
    found = rows()
    assert Counter(row["level"] for row in found) == LEVELS
    assert len({row["id"] for row in found}) == len(found)


def test_nothing_is_claimed_without_a_test_or_a_reason() -> None:
    for row in rows():
        assert row["status"] in STATUSES, row
        assert row["tests"] or row["note"], row["id"]
        if row["status"] in ("partial", "gap"):
            assert row["note"], row["id"]
