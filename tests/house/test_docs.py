"""The documents say what the code does: settings, files, decisions."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = [
    *ROOT.glob("decisiongraph/**/*.py"),
    *(ROOT / name for name in ("tests/database.py", "tests/run.py", "manage.py")),
]
READ = re.compile(
    r"""(?:_int|_choice|_flag|_list)\(\s*["']([A-Z_]+)["']"""
    r"""|(?:environ|environment|env)(?:\.get\(|\[)\s*["']([A-Z_]+)["']"""
)
NAMED = re.compile(
    r"`((?:decisiongraph|tenants|traces|projections|replays|approvals|tests|docs|templates|static)/[\w./-]+\.\w+)`"
)
FOREIGN = {"PATH", "PYTHONPATH", "MAKELEVEL", "DJANGO_SETTINGS_MODULE", "PYTEST_XDIST_WORKER", "HOME", "VIRTUAL_ENV"}


def variables_read() -> set[str]:
    """Every environment variable that the code asks for."""
    found: set[str] = set()
    for path in CODE:
        for match in READ.finditer(path.read_text()):
            found.add(match.group(1) or match.group(2))
    return found - FOREIGN


def documented() -> set[str]:
    """Every variable that has a row in the configuration page."""
    return set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs" / "configuration.md").read_text(), re.MULTILINE))


def test_every_setting_is_documented() -> None:
    """A setting without a line is a setting nobody can find."""
    assert variables_read() - documented() == set()


def test_no_documented_setting_is_gone() -> None:
    """A line without a setting misleads."""
    text = "".join(p.read_text() for p in [*CODE, *ROOT.glob("tests/**/*.py")])
    assert {name for name in documented() if name not in text} == set()


def test_files_named_in_documents_exist() -> None:
    """Paths between backticks that look like files of this repository are there."""
    missing = []
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for name in NAMED.findall(page.read_text()):
            if not (ROOT / name).exists():
                missing.append((page.name, name))
    assert missing == []


def test_links_between_documents_lead_somewhere() -> None:
    """Relative Markdown links and pictures."""
    broken = []
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append((page.name, target))
    assert broken == []


def test_decisions_are_numbered_without_holes() -> None:
    """0001, 0002, ..."""
    numbers = sorted(int(p.name[:4]) for p in (ROOT / "docs" / "adr").glob("[0-9]*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_house_page_names_every_app_and_room() -> None:
    """The page and the contracts in pyproject.toml speak of the same rooms."""
    page = (ROOT / "docs" / "house.md").read_text()
    for app in ("tenants", "traces", "projections", "replays", "approvals"):
        assert app in page
    for path in ROOT.glob("[tra][a-z]*/[a-z]*"):
        if path.parent.name in ("tenants", "traces", "replays", "approvals") and not path.name.startswith("_"):
            assert path.stem in page, f"{path.name} is not a room of the house"
