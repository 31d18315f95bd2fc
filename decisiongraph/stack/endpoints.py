"""Where the database and the broker of this checkout are: a pure function of the environment.

Settings, every ``manage.py`` command and the launcher call `endpoints` and so agree without talking
to each other. ``DATABASE_URL`` and ``REDIS_URL`` name outside servers; without them the answer is the
embedded stack of ``STATE_DIR`` (relative paths count from the checkout, default ``.state``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: the folder that holds ``manage.py``."""

DATABASE = "decisiongraph"
APP_ROLE, OWNER_ROLE = "dg_app", "dg_owner"
PLACES_FILE = "places.json"
"""Written by the launcher when data or sockets cannot lie below STATE_DIR (see `places`)."""


class Endpoints(NamedTuple):
    """Addresses of one stack.

    ``database_url_*`` are libpq URLs of the same database as the runtime role, the owner (migrations)
    and whoever may create roles and databases. The broker's address exists in two spellings because
    Celery and redis-py spell a unix socket differently.
    """

    state_dir: Path
    data_dir: Path
    socket_dir: Path
    database_url_app: str
    database_url_owner: str
    database_url_admin: str
    redis_url: str
    celery_url: str
    embedded_database: bool
    embedded_broker: bool


def state_dir(environ: Mapping[str, str]) -> Path:
    """The folder of everything this stack keeps; absolute, not necessarily existing."""
    return (ROOT / Path(environ.get("STATE_DIR") or ".state").expanduser()).resolve()


def places(state: Path) -> tuple[Path, Path]:
    """Folder of the database files and folder of the sockets.

    Usually both lie below ``state``. The launcher moves them elsewhere, and says so in PLACES_FILE,
    where an unprivileged server process could not reach them (a root launcher in a 0700 folder) or
    where a socket path would exceed what the kernel accepts.
    """
    try:
        moved = json.loads((state / PLACES_FILE).read_text())
    except (OSError, ValueError):
        moved = {}
    return Path(moved.get("data", state / "postgres")), Path(moved.get("sockets", state / "run"))


def endpoints(environ: Mapping[str, str]) -> Endpoints:
    """All addresses for this environment.

    ``DG_DATABASE`` (embedded database only) and ``DG_REDIS_DB`` (embedded broker only) choose another
    database beside the product's own: parallel test runs share one server that way.
    """
    state = state_dir(environ)
    data, sockets = places(state)
    outside = environ.get("DATABASE_URL", "").strip()
    if outside:
        login_owner = environ.get("DATABASE_OWNER_URL", "").strip() or outside
        app, owner, admin = as_role(outside, APP_ROLE), as_role(login_owner, OWNER_ROLE), login_owner
    else:
        name = environ.get("DG_DATABASE") or DATABASE
        app, owner, admin = (embedded_url(sockets, role, name) for role in (APP_ROLE, OWNER_ROLE, "postgres"))
    broker = environ.get("REDIS_URL", "").strip()
    number = environ.get("DG_REDIS_DB") or "0"
    socket = sockets / "broker.sock"
    return Endpoints(
        state_dir=state,
        data_dir=data,
        socket_dir=sockets,
        database_url_app=app,
        database_url_owner=owner,
        database_url_admin=admin,
        redis_url=broker or f"unix://{socket}?db={number}",
        celery_url=broker or f"redis+socket://{socket}?virtual_host={number}",
        embedded_database=not outside,
        embedded_broker=not broker,
    )


def embedded_url(sockets: Path, role: str, database: str) -> str:
    """The libpq URL of a database of the embedded server."""
    return f"postgresql://{role}@/{database}?host={quote(str(sockets), safe='')}"


def as_role(url: str, role: str) -> str:
    """The same address, every connection acting as ``role``.

    Row-level security does not bind superusers, so whatever account an operator gives, the product
    runs as ``dg_app`` and migrates as ``dg_owner``. An account of that very name needs no switch.
    """
    parts = urlsplit(url)
    if unquote(parts.username or "") == role:
        return url
    query = dict(parse_qsl(parts.query))
    query["options"] = f"{query.get('options', '')} -c role={role}".strip()
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))


def django_database(url: str) -> dict[str, Any]:
    """A libpq URL as the connection keys of Django's ``DATABASES`` (query parameters as OPTIONS)."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", "") or (parts.hostname or ""),
        "PORT": str(parts.port or query.pop("port", "")),
        "OPTIONS": query,
    }
