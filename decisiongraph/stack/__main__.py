"""``python -m decisiongraph.stack up | down | run | backup | restore``: see ``make help`` and the package docstring."""

from __future__ import annotations

import argparse
import os
import sys

from decisiongraph.stack import backup, services
from decisiongraph.stack.process import StackError
from decisiongraph.stack.run import only_one, run, say


def main(arguments: list[str]) -> int:
    """Run one command; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m decisiongraph.stack", description="The embedded stack of this checkout."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start database and broker, and leave them running")
    commands.add_parser("down", help="stop database and broker")
    commands.add_parser("run", help="start everything and watch it until Ctrl-C")
    commands.add_parser("erase", help="stop database and broker and delete everything in STATE_DIR")
    saved = commands.add_parser("backup", help="write database.dump and manifest.json of one moment")
    saved.add_argument("--to", default="", help="folder for backups; default: backups in STATE_DIR")
    brought = commands.add_parser("restore", help="fill an empty database from a backup and prove that it is whole")
    brought.add_argument("--from", dest="source", required=True, help="the folder of one backup")
    brought.add_argument("--check", default="all", choices=["all", "log"], help="log: do not replay the projections")
    brought.add_argument("--checkpoint", action="append", default=[], help="a file of checkpoints kept outside")
    options = parser.parse_args(arguments)
    chosen = options.command
    try:
        if chosen == "run":
            return run(os.environ)
        if chosen == "down":
            with only_one(services.prepare_state(os.environ), port=0):
                services.down(os.environ)
            return 0
        if chosen == "backup":
            backup.backup(os.environ, options.to, say)
            return 0
        if chosen == "restore":
            with only_one(services.prepare_state(os.environ), port=0):
                backup.restore(os.environ, options.source, options.check, say, checkpoints=options.checkpoint)
            return 0
        if chosen == "erase":
            with only_one(services.prepare_state(os.environ), port=0):
                services.erase(os.environ)
            return 0
        where = services.up(os.environ).endpoints
    except StackError as problem:
        print(problem, file=sys.stderr)
        return 1
    print(f"database {where.database_url_app}\nbroker   {where.redis_url}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
