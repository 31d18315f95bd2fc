"""Addresses: everybody who looks at the same environment finds the same servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from decisiongraph.stack.endpoints import PLACES_FILE, ROOT, as_role, django_database, endpoints


def test_without_variables_everything_lies_in_the_checkout() -> None:
    where = endpoints({})
    assert where.state_dir == ROOT / ".state"
    assert where.embedded_database
    assert where.embedded_broker
    assert conninfo_to_dict(where.database_url_app) == {
        "user": "dg_app",
        "dbname": "decisiongraph",
        "host": str(ROOT / ".state/run"),
    }
    assert conninfo_to_dict(where.database_url_owner)["user"] == "dg_owner"


def test_a_relative_state_dir_counts_from_the_checkout_not_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert endpoints({"STATE_DIR": ".state-two"}).state_dir == ROOT / ".state-two"
    assert endpoints({"STATE_DIR": str(tmp_path)}).state_dir == tmp_path


def test_empty_variables_are_no_variables() -> None:
    names = ("STATE_DIR", "DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "DG_DATABASE", "DG_REDIS_DB")
    assert endpoints(dict.fromkeys(names, "")) == endpoints({})


def test_the_launcher_can_move_data_and_sockets(tmp_path: Path) -> None:
    (tmp_path / PLACES_FILE).write_text(json.dumps({"data": "/elsewhere/data", "sockets": "/tmp/dg-x"}))
    where = endpoints({"STATE_DIR": str(tmp_path)})
    assert where.data_dir == Path("/elsewhere/data")
    assert where.redis_url == "unix:///tmp/dg-x/broker.sock?db=0"
    assert where.celery_url == "redis+socket:///tmp/dg-x/broker.sock?virtual_host=0"
    assert conninfo_to_dict(where.database_url_app)["host"] == "/tmp/dg-x"


def test_an_outside_server_is_used_as_the_products_roles() -> None:
    where = endpoints(
        {"DATABASE_URL": "postgresql://admin:pw@db:5433/shop?sslmode=require", "REDIS_URL": "redis://r/2"}
    )
    assert not where.embedded_database
    assert not where.embedded_broker
    assert conninfo_to_dict(where.database_url_app) == {
        "user": "admin",
        "password": "pw",
        "host": "db",
        "port": "5433",
        "dbname": "shop",
        "sslmode": "require",
        "options": "-c role=dg_app",
    }
    assert conninfo_to_dict(where.database_url_owner)["options"] == "-c role=dg_owner"
    assert where.database_url_admin == "postgresql://admin:pw@db:5433/shop?sslmode=require"
    assert where.redis_url == where.celery_url == "redis://r/2"


def test_an_account_of_the_roles_own_name_needs_no_switch() -> None:
    url = "postgresql://dg_app:pw@db/shop"
    assert as_role(url, "dg_app") == url


def test_given_options_are_kept() -> None:
    options = conninfo_to_dict(as_role("postgresql://x@db/shop?options=-c%20jit%3Doff", "dg_app"))["options"]
    assert options == "-c jit=off -c role=dg_app"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://a%40b:p%2Fw@db:5433/shop?sslmode=require",
            {"USER": "a@b", "PASSWORD": "p/w", "HOST": "db", "PORT": "5433", "OPTIONS": {"sslmode": "require"}},
        ),
        (
            "postgresql://dg_app@/shop?host=%2Frun%2Fdg",
            {"USER": "dg_app", "PASSWORD": "", "HOST": "/run/dg", "PORT": "", "OPTIONS": {}},
        ),
    ],
)
def test_addresses_in_djangos_spelling(url: str, expected: dict[str, object]) -> None:
    engine = {"ENGINE": "django.db.backends.postgresql", "NAME": "shop"}
    assert django_database(url) == engine | expected
