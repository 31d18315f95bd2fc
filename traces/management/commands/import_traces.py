"""Bring real history into the log: ``manage.py import_traces --tenant T --format F PATH``."""

from __future__ import annotations

import argparse
import logging
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from decisiongraph.core.errors import Problem
from tenants.models import Tenant
from traces import selectors, services
from traces.importers import FORMATS, Case, ImportProblem, load_mapping, read_cases

MAX_BATCH = 500
_SHOWN = 5
"""Refused events shown for each reason; all are counted."""
_LINE_SECONDS = 5.0
_BAR_SECONDS = 0.1
_BAR_WIDTH = 30


class Tally:
    """What an import did so far."""

    def __init__(self) -> None:
        self.cases = 0
        self.whole = 0
        """Cases that were already complete and were not sent again."""
        self.source_events = 0
        self.events: Counter[str] = Counter()
        """Events by what became of them: created, replayed, refused."""
        self.outcomes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}

    def refuse(self, code: str, where: str, detail: str) -> None:
        """Count a refusal and keep the first ones of each kind to show."""
        self.events["refused"] += 1
        self.reasons[code] += 1
        shown = self.examples.setdefault(code, [])
        if len(shown) < _SHOWN:
            shown.append(f"{where}: {detail}")


class Command(BaseCommand):
    """Import files of one format into one tenant. Safe to stop and to start again."""

    help = "Import traces from files: " + "; ".join(f"{name} = {known.summary}" for name, known in FORMATS.items())
    _broken = ""
    _open_workflow = False

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a file, or a folder of files")
        parser.add_argument("--tenant", required=True, help="slug of the tenant")
        parser.add_argument("--format", required=True, choices=sorted(FORMATS), dest="format_name")
        parser.add_argument("--mapping", type=Path, help="TOML mapping; two are in docs/imports/")
        parser.add_argument("--batch", type=int, default=MAX_BATCH, help="events per transaction, at most 500")
        parser.add_argument(
            "--recheck",
            action="store_true",
            help="send complete traces again too, so that a changed content is found",
        )
        parser.add_argument(
            "--open-workflow",
            action="store_true",
            help="let exceptions and proposals in new events open items that people decide, as if they happened now",
        )
        parser.add_argument("--allow-refused", action="store_true", help="exit with 0 although events were refused")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the import and report it; exit code 1 when it broke off or anything was refused."""
        batch = options["batch"]
        self._open_workflow = options["open_workflow"]
        if not 1 <= batch <= MAX_BATCH:
            raise CommandError(f"--batch must be between 1 and {MAX_BATCH}.")
        tenant = Tenant.objects.filter(slug=options["tenant"]).first()
        if tenant is None:
            raise CommandError(f"There is no tenant {options['tenant']!r}; make it with create_tenant.")
        tally = Tally()
        progress = _Progress(self)
        started = time.monotonic()
        pending: list[Case] = []
        size = 0
        try:
            for case in self._cases(options, progress):
                # Before it overflows: a few events left over would cost a transaction of their own.
                if pending and size + len(case.envelopes) > batch:
                    self._store(tenant, pending, tally, batch, options["recheck"])
                    pending, size = [], 0
                    progress.show(tally, case.position)
                pending.append(case)
                size += len(case.envelopes)
            # Also when the file broke: what was read before the break is good.
            self._store(tenant, pending, tally, batch, options["recheck"])
        except Problem as problem:
            self._broken = f"{problem.code}: {problem.detail} Start the same command again to go on."
        except OperationalError:
            self._broken = "the database does not answer. Start the same command again to go on."
        except KeyboardInterrupt:
            self._broken = "stopped. Start the same command again to go on."
        progress.clear()
        self._report(tally, time.monotonic() - started)
        if self._broken:
            raise CommandError(f"The import broke off: {self._broken}")
        if tally.events["refused"] and not options["allow_refused"]:
            raise CommandError(f"{tally.events['refused']:,} events were refused (see above).")

    def _cases(self, options: dict[str, Any], progress: _Progress) -> Iterator[Case]:
        """The cases of all files; where a file breaks they end and the reason is kept."""
        self._broken = ""
        try:
            mapping = load_mapping(options["mapping"]) if options["mapping"] else None
            files = _files(options["paths"])
            progress.total = sum(path.stat().st_size for path in files)
            for path in files:
                yield from read_cases(options["format_name"], path, mapping)
                progress.done += path.stat().st_size
        except ImportProblem as problem:
            self._broken = str(problem)

    def _store(self, tenant: Tenant, cases: list[Case], tally: Tally, batch: int, recheck: bool) -> None:
        """Append the events of some cases, without those that are there already."""
        known = {} if recheck else selectors.trace_states(tenant, [c.trace_id for c in cases if c.envelopes])
        events: list[dict[str, Any]] = []
        for case in cases:
            self._count(case, tally)
            last_seq, finished = known.get(case.trace_id, (-1, False))
            complete = case.whole and last_seq + 1 == len(case.envelopes) and finished == (case.outcome is not None)
            if case.envelopes and complete:
                tally.whole += 1
                tally.events["replayed"] += len(case.envelopes)
            else:
                events += case.envelopes
        principal = services.import_principal(tenant, open_workflow=self._open_workflow)
        for first in range(0, len(events), batch):
            part = events[first : first + batch]
            results = services.append(tenant, principal=principal, events=part, origin="import", atomic=False)
            for event, result in zip(part, results, strict=True):
                if result.status == "refused":
                    leading = result.leading
                    place = f"{event.get('trace_id')} {event.get('idempotency_key')}"
                    field = f" at {leading.path}" if leading.path else ""
                    tally.refuse(leading.code, place, f"{leading.detail}{field}")
                else:
                    tally.events[result.status] += 1

    def _count(self, case: Case, tally: Tally) -> None:
        tally.source_events += case.source_events
        for refusal in case.refusals:
            tally.refuse(refusal.code, refusal.where, refusal.detail)
        if case.whole and case.envelopes:
            tally.cases += 1
            tally.outcomes[case.outcome or "open"] += 1
        elif case.envelopes:
            # Lines of one trace may come in several pieces: a trace counts where it starts.
            kinds = [event.get("event_type") for event in case.envelopes]
            tally.cases += kinds.count("TraceStarted")
            tally.outcomes[case.outcome or "open"] += kinds.count("TraceStarted")

    def _report(self, tally: Tally, seconds: float) -> None:
        events = tally.events
        total = events["created"] + events["replayed"] + events["refused"]
        self.stdout.write(f"cases          {tally.cases:>9,}   from {tally.source_events:,} source events")
        rate = total / max(seconds, 1e-9)
        self.stdout.write(f"events         {total:>9,}   in {seconds:.1f} s, {rate:,.0f} events/s")
        for word, meaning in (
            ("created", "new in the log"),
            ("replayed", "already there, unchanged"),
            ("refused", "not stored"),
        ):
            self.stdout.write(f"  {word:<12} {events[word]:>9,}   {meaning}")
        if tally.whole:
            self.stdout.write(f"  {tally.whole:,} complete cases were not sent again; --recheck compares their content")
        for outcome, count in sorted(tally.outcomes.items()):
            self.stdout.write(f"outcome {outcome:<10} {count:>6,}")
        for code, count in tally.reasons.most_common():
            self.stdout.write(self.style.WARNING(f"refused {code} {count:,}"))
            for example in tally.examples[code]:
                self.stdout.write(f"    {example}")
            if count > _SHOWN:
                self.stdout.write(f"    and {count - _SHOWN:,} more")
        if total and not events["created"] and not events["refused"]:
            self.stdout.write("Nothing changed: everything was there already.")


class _Progress:
    """A bar on a terminal, a plain line every few seconds elsewhere."""

    def __init__(self, command: BaseCommand) -> None:
        self.out = command.stdout
        self.tty = self.out.isatty()
        if self.tty:
            # One line for every batch would tear the bar apart; elsewhere they are kept.
            logging.getLogger("decisiongraph").setLevel(logging.WARNING)
        self.total = 0
        self.done = 0
        self.started = self.shown = time.monotonic()

    def show(self, tally: Tally, position: int) -> None:
        """Draw where the import is, not too often."""
        now = time.monotonic()
        if now - self.shown < (_BAR_SECONDS if self.tty else _LINE_SECONDS):
            return
        self.shown = now
        part = min(1.0, (self.done + position) / self.total) if self.total else 1.0
        seen = sum(tally.events.values())
        rate = seen / max(now - self.started, 1e-9)
        left = (now - self.started) * (1 - part) / part if part else 0.0
        text = f"{part:4.0%}  {tally.cases:,} cases  {seen:,} events  {rate:,.0f}/s  {left:.0f} s left"
        if self.tty:
            filled = round(part * _BAR_WIDTH)
            self.out.write(f"\r[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {text}\x1b[K", ending="")
            self.out.flush()
        else:
            self.out.write(text)

    def clear(self) -> None:
        """Take the bar away before the report."""
        if self.tty:
            self.out.write("\r\x1b[K", ending="")


def _files(paths: list[Path]) -> list[Path]:
    """The files to read, those of a folder by name. Raises `ImportProblem`."""
    return [found for path in paths for found in _expand(path)]


def _expand(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    elif path.is_file():
        yield path
    else:
        raise ImportProblem("import.unreadable", f"{path} is no file and no folder.")
