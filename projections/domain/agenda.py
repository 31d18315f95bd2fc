"""What an operator should look at first, worst first, and the sentence on top of the Overview.

Everything the platform knows about itself arrives here as plain values and leaves as a list of
`Item`; nothing is hidden, nothing is said twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Literal, NamedTuple

from projections.domain.health import Observation, State, duration

Kind = Literal["mismatch", "failed", "workers", "beat", "broker", "stale", "parked", "refusals", "silent"]

ORDER: tuple[Kind, ...] = (
    "mismatch",
    "failed",
    "workers",
    "beat",
    "stale",
    "broker",
    "parked",
    "refusals",
    "silent",
)
"""Worst first: wrong answers, then standing still, then late, then incomplete, then whoever sends."""

LOOKS: dict[Kind, str] = {
    "mismatch": "mismatch",
    "failed": "failed",
    "workers": "lost",
    "beat": "lost",
    "broker": "degraded",
    "stale": "stale",
    "parked": "parked",
    "refusals": "degraded",
    "silent": "silent",
}
"""Kind -> the state whose shape and tone it wears."""

BURST_EVENTS = 20
"""Refused events of one producer within the watched minutes that deserve a line."""
BURST_SHARE = 0.05
"""The same as a share of everything the producer sent in those minutes."""

USUAL_GAPS = 12
"""Active minutes a producer must have had for its rhythm to be known."""
SILENT_FACTOR = 4.0
"""Times its usual gap after which a producer counts as silent."""
SILENT_LEAST = 900.0
"""Seconds that no producer is silent before."""


class Item(NamedTuple):
    """One line of the agenda."""

    kind: Kind
    title: str
    """A fact as a sentence."""
    short: str
    """The same inside a longer sentence: ``mismatch in trace_summary``."""
    why: str
    subject: str = ""
    """The projection or producer concerned."""
    since: datetime | None = None
    ident: str = ""
    """What the line leads to, where the kind alone does not say: the replay that found a mismatch."""


class Mismatch(NamedTuple):
    """An open finding: rows of a live generation differ from the log."""

    projection: str
    rows: int
    found_by: str
    """In words."""
    position: int
    since: datetime
    replay: str = ""


class Sender(NamedTuple):
    """A producer as the log has seen it."""

    name: str
    active_minutes: tuple[int, ...]
    """Minutes ago in which it sent anything, ascending, within the watched day."""
    last_seconds: float
    """Since its last event."""
    last_at: datetime
    sent_lately: int
    refused_lately: int


Rhythm = Literal["sending", "quiet", "silent"]


def usual_gap(active_minutes: Sequence[int]) -> float | None:
    """The gap between two busy minutes that a producer rarely exceeds, in seconds.

    None when it has not sent often enough to have a rhythm. The longest tenth of its gaps is left
    out, so that one lunch break does not hide the next outage.
    """
    if len(active_minutes) < USUAL_GAPS:
        return None
    gaps = sorted(later - earlier for earlier, later in pairwise(active_minutes))
    return 60.0 * gaps[min(len(gaps) - 1, len(gaps) * 9 // 10)]


def rhythm(sender: Sender) -> Rhythm:
    """Whether a producer sends, rests, or is silent against its own habit."""
    if sender.last_seconds <= 120:
        return "sending"
    gap = usual_gap(sender.active_minutes)
    if gap is not None and sender.last_seconds > max(SILENT_LEAST, SILENT_FACTOR * gap):
        return "silent"
    return "quiet"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def mismatch_item(found: Mismatch) -> Item:
    """Readers see rows that the log does not say."""
    rows = f"{_count(found.rows, 'row')} of" if found.rows else "Rows of"
    differ = "differs" if found.rows == 1 else "differ"
    return Item(
        "mismatch",
        f"Mismatch: {rows} {found.projection} {differ} from the log.",
        f"mismatch in {found.projection}",
        f"Found by {found.found_by} at {found.position:,}, not promoted. The log itself is untouched.",
        found.projection,
        found.since,
        found.replay,
    )


def health_items(seen: Observation, state: State, last_error: str, since: datetime | None) -> list[Item]:
    """What one projection's health asks for: it stands still, it is late, it left traces aside."""
    found: list[Item] = []
    behind = f"{_count(seen.lag, 'event')} behind"
    cause = f"Last error: {last_error}" if last_error else ""
    if state == "failed":
        why = f"{seen.failures} batches in a row failed, {behind}. {cause}".strip()
        title = f"{seen.name} stopped at event {seen.cursor:,}."
        found.append(Item("failed", title, f"{seen.name} stopped", why, seen.name, since))
    elif state == "stale":
        why = cause or f"Nothing moves it: {behind}, the oldest for {duration(seen.lag_seconds)}."
        title = f"{seen.name} is stale, {behind}."
        found.append(Item("stale", title, f"{seen.name} is stale", why, seen.name, since))
    if seen.dead_letters:
        are, them = ("is", "it") if seen.dead_letters == 1 else ("are", "them")
        short = f"{_count(seen.dead_letters, 'trace')} {are} parked in {seen.name}"
        why = f"Its rule could not fold {them}; every other trace goes on. Retry after a fix, or skip the event."
        found.append(Item("parked", f"{short}.", short, why, seen.name))
    return found


def sender_items(sender: Sender, minutes: int, code: str) -> list[Item]:
    """What one producer asks for: many refusals within the last ``minutes``, or silence.

    ``code`` is the error code it was refused with most, empty when unknown.
    """
    found: list[Item] = []
    tried = sender.sent_lately + sender.refused_lately
    if sender.refused_lately >= BURST_EVENTS and sender.refused_lately >= BURST_SHARE * tried:
        mostly = f"Mostly {code}. " if code else ""
        found.append(
            Item(
                "refusals",
                f"{sender.refused_lately:,} of {tried:,} events of {sender.name} were refused.",
                f"{sender.name} is being refused",
                f"{mostly}Within the last {minutes} minutes; nothing of them is in the log.",
                sender.name,
                ident=code,
            )
        )
    if rhythm(sender) == "silent":
        gap = usual_gap(sender.active_minutes) or 0.0
        habit = f"every {duration(gap)}" if gap > 60 else "every minute"
        found.append(
            Item(
                "silent",
                f"Producer {sender.name} is silent.",
                f"{sender.name} is silent",
                f"Its last event came {duration(sender.last_seconds)} ago; it usually sends {habit} or so.",
                sender.name,
                sender.last_at,
            )
        )
    return found


def machinery_items(
    *, folding: int, beat_at: datetime | None, beat_alive: bool, broker: bool, worker_at: datetime | None
) -> list[Item]:
    """What the processes behind the platform ask for.

    Args:
        folding: living workers that follow the log.
        beat_at: last tick of the clock, None when it has never ticked.
        beat_alive: whether that is recent.
        broker: whether the broker answers.
        worker_at: when a worker that follows the log was last heard, None when never.
    """
    found: list[Item] = []
    if not folding:
        found.append(
            Item(
                "workers",
                "No worker follows the log.",
                "no worker follows the log",
                "Events are accepted and safe; projections stand still until a worker runs again.",
                since=worker_at,
            )
        )
    if not beat_alive:
        found.append(
            Item(
                "beat",
                "The clock does not tick.",
                "the clock does not tick",
                "Beat wakes whoever lags and watches for staleness; start it again.",
                since=beat_at,
            )
        )
    if not broker:
        found.append(
            Item(
                "broker",
                "The broker does not answer.",
                "the broker is away",
                "Events are accepted and safe; background work and live updates wait until it is back.",
            )
        )
    return found


def ranked(items: Iterable[Item]) -> list[Item]:
    """Worst first; among equals the one that lasts longest."""
    return sorted(items, key=lambda item: (ORDER.index(item.kind), item.since is None, item.since or 0, item.subject))


def headline(items: Sequence[Item], calm: str) -> str:
    """The sentence on top: what needs attention first, or ``calm`` when nothing does."""
    if not items:
        return calm
    first = items[0].short
    text = first[:1].upper() + first[1:] if items[0].kind in ("mismatch", "workers", "beat", "broker") else first
    if len(items) == 1:
        return text
    if len(items) == 2:
        return f"{text}, and {items[1].short}"
    rest = len(items) - 2
    return f"{text}, {items[1].short}, and {rest} more"
