#!/usr/bin/env python3
"""Django's command line for this checkout: finds the environment of `make run` by itself."""

import os
import sys
from pathlib import Path

AS_OWNER = {
    "migrate",
    "makemigrations",
    "sqlmigrate",
    "showmigrations",
    "squashmigrations",
    "optimizemigration",
}
"""Commands about the schema: they act as the role that owns the tables."""
OFFLINE = {"verify_export"}
"""Commands for auditors: they ask nothing of a database and leave nothing behind, not even a key."""


def main() -> None:
    """Run one management command."""
    here = Path(__file__).resolve().parent
    try:
        import django  # noqa: F401
    except ModuleNotFoundError:
        python = here / ".venv" / "bin" / "python"
        if not python.exists() or Path(sys.prefix) == python.parent.parent:
            sys.exit("Django is not installed. 'make run' or 'make environment' sets everything up.")
        os.execv(python, [str(python), *sys.argv])

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "decisiongraph.settings")
    if len(sys.argv) > 1 and sys.argv[1] in AS_OWNER:
        os.environ.setdefault("DG_DB_ROLE", "owner")
    if len(sys.argv) > 1 and sys.argv[1] in OFFLINE:
        os.environ.setdefault("SECRET_KEY", "nothing is signed, encrypted or kept by an offline command")
    os.environ.setdefault("LOG_LEVEL", "WARNING")  # a person reads a command's own words
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
