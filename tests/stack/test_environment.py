"""Which interpreter the environment is made with."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from decisiongraph.stack import environment


def answering(folder: Path, said: str, code: int = 0) -> str:
    """A ``python3`` in a folder of its own that answers the measurement with this; the folder's path."""
    folder.mkdir()
    fake = folder / "python3"
    fake.write_text(f"#!/bin/sh\necho '{said}'\nexit {code}\n")
    fake.chmod(0o755)
    return str(folder)


def test_a_much_faster_one_of_path_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [
        answering(tmp_path / "fast", "3 12 0.000001 /opt/fast/python3"),
        answering(tmp_path / "fastest", "3 13 0.0000001 /opt/fastest/python3"),
    ]
    monkeypatch.setenv("PATH", os.pathsep.join(folders))
    assert environment.interpreters() == ["/opt/fastest/python3", sys.executable]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("3 12 9.0 /opt/slow/python3", 0),
        ("3 10 0.000001 /opt/old/python3", 0),
        ("3 15 0.000001 /opt/untried/python3", 0),
        ("2 7 0.000001 /opt/ancient/python3", 0),
        ("Segmentation fault", 0),
        ("", 0),
        ("3 12 0.000001 /opt/broken/python3", 1),
    ],
)
def test_any_other_leaves_us_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, code: int) -> None:
    monkeypatch.setenv("PATH", answering(tmp_path / "bin", said, code))
    assert environment.interpreters() == [sys.executable]


def test_ourselves_are_not_taken_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert environment.interpreters() == [sys.executable]


def test_a_real_one_answers_with_path_and_seconds() -> None:
    found = environment.probe(sys.executable)
    assert found is not None
    assert found[0] == sys.executable
    assert 0 < found[1] < 1


def test_where_the_fast_one_fails_the_own_one_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "VENV", tmp_path / "venv")
    monkeypatch.setattr(environment, "PYTHON", tmp_path / "venv" / "bin" / "python")
    monkeypatch.setattr(environment, "pinned_uv", lambda *_where: ("--version",))
    broken = answering(tmp_path / "bin", "no", 1) + "/python3"
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    environment.create([broken, sys.executable])
    assert environment.PYTHON.exists()
