"""docker-compose.yml runs what `make run` runs, with variables that the settings read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from decisiongraph.stack import parts

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("setup", "web", "sockets", "worker", "deliver", "replay", "learn", "beat")
PLACES = {"--host", "--port", "-b", "-p", "--schedule"}
"""Options that say where, not what: they differ between a machine and a container."""


def what(argv: list[str]) -> list[str]:
    """A command without its interpreter's path and without places."""
    words = list(argv)
    assert Path(words[0]).name.startswith("python")
    kept = ["python"]
    rest = iter(words[1:])
    for word in rest:
        if word in PLACES:
            next(rest)
        else:
            kept.append(word)
    return kept


def variables_read() -> set[str]:
    """Names of environment variables in the settings and in the addresses."""
    names = set()
    for file in ("decisiongraph/settings.py", "decisiongraph/stack/endpoints.py"):
        text = (ROOT / file).read_text()
        names |= set(re.findall(r"(?:_int|_choice|_flag|_list|environ\.get)\(\s*\"([A-Z][A-Z0-9_]+)\"", text))
    return names


def test_the_processes_are_those_of_make_run() -> None:
    assert set(SERVICES) == {"postgres", "redis", "proxy", *OURS}
    assert {part.name for part in parts.parts(8000, Path("/state"))} == set(OURS) - {"setup"}


@pytest.mark.parametrize("part", parts.parts(8000, Path("/state")), ids=lambda part: part.name)
def test_commands_are_those_of_make_run(part: parts.Part) -> None:
    assert what(shlex.split(SERVICES[part.name]["command"])) == what(part.argv)


@pytest.mark.parametrize("name", OURS)
def test_variables_are_read_by_the_settings(name: str) -> None:
    given = set(SERVICES[name]["environment"])
    assert given <= variables_read()
    assert {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "PUBLIC_URL", "SOCKET_URL"} <= given


def test_only_the_setup_knows_the_owner() -> None:
    knowing = {name for name in OURS if "DATABASE_OWNER_URL" in SERVICES[name]["environment"]}
    assert knowing == {"setup"}
    assert all("dg_app:" in SERVICES[name]["environment"]["DATABASE_URL"] for name in OURS)


def test_nothing_starts_before_the_schema_is_there() -> None:
    for name in set(OURS) - {"setup"}:
        assert SERVICES[name]["depends_on"]["setup"] == {"condition": "service_completed_successfully"}
    assert "migrate" in SERVICES["setup"]["command"][-1]


def test_no_secret_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD", "DG_APP_PASSWORD"):
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text


def test_the_proxy_sends_sockets_to_daphne_and_pages_to_granian() -> None:
    rules = (ROOT / "docker/Caddyfile").read_text()
    assert re.search(r"@sockets path /ws/\*\s+handle @sockets \{\s+reverse_proxy sockets:8001\s+\}", rules)
    assert "reverse_proxy web:8000" in rules
    assert SERVICES["sockets"]["command"].endswith("-p 8001")
    assert SERVICES["web"]["command"].endswith("--port 8000")
    assert any("docker/Caddyfile" in volume for volume in SERVICES["proxy"]["volumes"])


def test_the_image_installs_the_pinned_packages() -> None:
    recipe = (ROOT / COMPOSE["x-product"]["build"]["dockerfile"]).read_text()
    assert "--require-hashes" in recipe
    assert "requirements/base.txt" in recipe
    assert "USER decisiongraph" in recipe
