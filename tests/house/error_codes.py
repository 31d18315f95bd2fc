"""Every error code of the code base, found by reading it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
APPS = ("decisiongraph", "tenants", "traces", "projections", "replays", "approvals")
CODE = re.compile(r"[a-z]+(?:_[a-z]+)*\.[a-z]+(?:_[a-z]+)*")

CARRIERS = {
    "Problem": 0,
    "refuse": 0,
    "invalid": 1,
    "MalformedJson": 1,
    "Violation": 1,
    "unauthorized": 0,
    "FrameError": 0,
    "ImportProblem": 0,
    "Refusal": 0,
    "Fault": 3,
}
"""Callables that make a refusal, and which argument is its code."""

METHODS = {"traces/domain/draft.py": {"add": 1}, "decisiongraph/core/api/__init__.py": {"get": 1}}
"""The same for methods whose names mean something else elsewhere."""


class Use(NamedTuple):
    """A code at a place in the source."""

    code: str
    path: str
    line: int


@cache
def uses() -> tuple[Use, ...]:
    """Every code that can reach a client."""
    return tuple(_uses())


def _uses() -> Iterator[Use]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            where = str(path.relative_to(ROOT))
            if "/migrations/" in where or "/templatetags/" in where:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                for code in set(_codes(node, where)):
                    yield Use(code, where, getattr(node, "lineno", 0))


def _codes(node: ast.AST, where: str) -> Iterator[str]:
    if isinstance(node, ast.Call):
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        carriers = CARRIERS | METHODS.get(where, {})
        if name in carriers and len(node.args) > carriers[name]:
            yield from _texts(node.args[carriers[name]])
        elif name == "not_found" and node.args:
            yield from (f"{text}.not_found" for text in _words(node.args[0]))
        elif name == "violations" and len(node.args) == 2:
            for noun in _words(node.args[1]):
                yield from (f"{noun}.{kind}_field" for kind in ("missing", "unknown", "invalid"))
    elif isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == ["code"]:
        yield from _texts(node.value)
    elif isinstance(node, ast.Dict) and where == "decisiongraph/core/api/__init__.py":
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, int):
                yield from _texts(value)


def _texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
    elif isinstance(node, ast.JoinedStr) and isinstance(node.values[-1], ast.Constant):
        ending = str(node.values[-1].value)
        if CODE.fullmatch("x" + ending) and ending != ".not_found":  # f"{noun}.too_deep" of the strict loader
            yield from (noun + ending for noun in ("event", "body"))


def _words(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
