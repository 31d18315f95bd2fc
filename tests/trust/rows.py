"""The rows of the suite. One without a test, or without its control, fails the run."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """What must hold, and whether a wrong variant has to be caught."""

    what: str
    control: bool = False


ROWS: dict[str, Row] = {
    "A1": Row("a tailing reader under slow and rolled-back writers", control=True),
    "A2": Row("real-time order, prefix reads, read your own write, over HTTP"),
    "A3": Row("append torture: clients killed, database crashed", control=True),
    "A4": Row("lost acknowledgements through a cutting proxy", control=True),
    "B1": Row("projectors killed again and again", control=True),
    "B2": Row("every named crash point"),
    "B3": Row("a frozen worker"),
    "B4": Row("poison events"),
    "B5": Row("a rebuild under load, killed twice"),
    "B6": Row("determinism", control=True),
    "C1": Row("jobs killed, cancelled, stalled"),
    "C2": Row("the broker flushed and restarted under load", control=True),
    "C3": Row("two beats at once"),
    "D1": Row("sockets: slow readers, reconnects, broker restart", control=True),
    "D2": Row("who may open a socket"),
    "E1": Row("tampering with the log"),
    "E2": Row("Merkle proofs"),
    "E3": Row("erasure"),
    "F1": Row("append against its model", control=True),
    "F2": Row("JSON fuzz", control=True),
    "F3": Row("the published schema against the running API"),
    "G1": Row("canary crawl", control=True),
    "G2": Row("append-only and row-level policies of every table"),
    "G3": Row("rate limiter", control=True),
    "G4": Row("webhook addresses"),
    "H1": Row("soak"),
    "W1": Row("two reviewers at once", control=True),
    "W2": Row("timers over kills, two beats, clock steps"),
    "W3": Row("a decision is all of it or nothing"),
}
