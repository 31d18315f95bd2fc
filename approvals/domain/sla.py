"""How long a decision may take: clock, deadline, reminder, escalations, expiry. Pure (SEMANTICS 9).

A policy is a value. It is copied into an item when that opens, so editing it never moves a deadline
somebody has been shown; and it can be tried on what has already happened (`Case`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from approvals.domain.calendar import Calendar, shift
from traces.domain.envelope import INGEST_TYPES, PLATFORM_TYPES
from traces.domain.moment import instant

LONGEST = 5 * 366 * 86_400
"""Seconds; a longer duration is a mistake."""
Seconds = Annotated[int, Field(ge=-LONGEST, le=LONGEST)]
Plain = str | int | float | bool
EVENT_TYPES = (*INGEST_TYPES, *PLATFORM_TYPES)
ITEM_START, ITEM_STOP = "ApprovalRequested", "ApprovalRecorded"

TimerKind = Literal["reminder", "risk", "deadline", "escalation", "expiry"]
TIMER_KINDS: tuple[TimerKind, ...] = ("reminder", "risk", "deadline", "escalation", "expiry")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Edge(_Part):
    """The event at which a clock starts or stops."""

    event_type: str
    where: dict[str, Plain] = Field(default={}, max_length=20)
    """Values the payload must hold, by path: ``{"policy.policy_id": "refund.cap"}``."""
    at: str | None = Field(default=None, min_length=1, max_length=200)
    """Key of the fact that says when it really happened; without it the event's own time counts."""

    @field_validator("event_type")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in EVENT_TYPES:
            raise ValueError("unknown event type; one of " + ", ".join(EVENT_TYPES))
        return name

    def matches(self, event_type: str, payload: Mapping[str, Any] | None) -> bool:
        """Whether an event is this edge."""
        if event_type != self.event_type:
            return False
        return all(_at(payload, path) == value for path, value in self.where.items())


class Clock(_Part):
    """What is measured."""

    start: Edge = Edge(event_type=ITEM_START)
    stop: Edge = Edge(event_type=ITEM_STOP)

    @property
    def of_items(self) -> bool:
        """Whether it runs from the opening of an item to its decision."""
        return self.start.event_type == ITEM_START


class Deadline(_Part):
    """When it must be done: so long after the start, or at a time the case itself names."""

    seconds: int | None = Field(default=None, ge=1, le=LONGEST)
    fact: str | None = Field(default=None, min_length=1, max_length=200)

    @model_validator(mode="after")
    def _one(self) -> Deadline:
        if (self.seconds is None) == (self.fact is None):
            raise ValueError("give either seconds or the key of a fact")
        return self


class Moment(_Part):
    """A moment relative to the start or the deadline; negative seconds are before it."""

    of: Literal["start", "deadline"] = "deadline"
    seconds: Seconds = 0


class Level(Moment):
    """One escalation: when, and to whom."""

    to: str = Field(default="role:admin", min_length=1, max_length=200)


class Policy(_Part):
    """A service level."""

    clock: Clock = Clock()
    deadline: Deadline = Deadline(seconds=4 * 3600)
    calendar: Calendar | None = None
    reminder: Moment | None = None
    risk: Moment | None = None
    """When the deadline is in danger."""
    escalations: tuple[Level, ...] = Field(default=(), max_length=10)
    expiry: Moment | None = None
    ticket_seconds: int = Field(default=24 * 3600, ge=1, le=LONGEST)
    """How long an approval may be used, in plain time."""
    quorum: int = Field(default=1, ge=1, le=20)
    reviewers: tuple[Annotated[str, Field(min_length=1, max_length=300)], ...] = Field(default=(), max_length=50)
    """Who may decide (``user:ana@example.org``, ``token:1a2b3c4d``); empty = whoever may review."""
    incident_on_breach: bool = True

    @model_validator(mode="after")
    def _reachable(self) -> Policy:
        if len(set(self.reviewers)) != len(self.reviewers):
            raise ValueError("reviewers holds somebody twice")
        if self.reviewers and self.quorum > len(self.reviewers):
            raise ValueError("quorum is larger than the number of reviewers")
        return self


STANDARD = Policy(
    deadline=Deadline(seconds=4 * 3600),
    reminder=Moment(of="start", seconds=2 * 3600),
    risk=Moment(of="deadline", seconds=-3600),
    escalations=(Level(of="deadline", seconds=0), Level(of="deadline", seconds=4 * 3600)),
    expiry=Moment(of="start", seconds=3 * 86_400),
)
"""What holds where a tenant has no policy of its own that applies."""


class Match(_Part):
    """Which items a policy is for; what is absent does not matter."""

    subject_type: str | None = Field(default=None, max_length=200)
    workflow: str | None = Field(default=None, max_length=2000)
    policy_id: str | None = Field(default=None, max_length=2000)
    priority: Literal["low", "normal", "high", "urgent"] | None = None

    def fits(self, subject: Mapping[str, Any]) -> bool:
        """Whether a policy with this match is for a subject with these values."""
        return all(value is None or subject.get(name) == value for name, value in self.model_dump().items())

    @property
    def weight(self) -> int:
        """How particular it is: of several that fit the most particular one wins."""
        return sum(value is not None for value in self.model_dump().values())


class Due(NamedTuple):
    """One timer to set."""

    kind: TimerKind
    level: int
    """Of an escalation, from 1; 0 otherwise."""
    at: datetime


class Plan(NamedTuple):
    """Everything a policy says about one start."""

    deadline: datetime | None
    """None when the case does not name one."""
    timers: tuple[Due, ...]
    """By time; at the same time in the order of `TIMER_KINDS`."""


def plan(policy: Policy, start: datetime, facts: Mapping[str, Any]) -> Plan:
    """When what is due, for a clock that started at ``start``.

    A deadline that is a fact the case lacks (or whose value is no time) is no deadline, and whatever
    hangs on it is left out. So is a moment beyond the reach of the calendar.
    """
    deadline: datetime | None
    if policy.deadline.fact is not None:
        deadline = fact_time(facts, policy.deadline.fact)
    else:
        deadline = _shifted(start, policy.deadline.seconds or 0, policy.calendar)
    found: list[Due] = []

    def add(kind: TimerKind, moment: Moment | None, level: int = 0) -> None:
        base = None if moment is None else (start if moment.of == "start" else deadline)
        at = None if moment is None or base is None else _shifted(base, moment.seconds, policy.calendar)
        if at is not None:
            found.append(Due(kind, level, at))

    add("reminder", policy.reminder)
    add("risk", policy.risk)
    add("deadline", Moment())
    for number, level in enumerate(policy.escalations, 1):
        add("escalation", level, number)
    add("expiry", policy.expiry)
    return Plan(deadline, tuple(sorted(found, key=lambda due: (due.at, TIMER_KINDS.index(due.kind), due.level))))


def _shifted(base: datetime, seconds: int, calendar: Calendar | None) -> datetime | None:
    try:
        return shift(base, seconds, calendar)
    except OverflowError:
        return None


# --- trying a policy on the past ----------------------------------------------------------------------

Standing = Literal["in_time", "late", "open", "without_deadline"]
"""How a case ended for a policy; ``open`` = its clock has not stopped."""


class Case(NamedTuple):
    """One run of a clock in the past."""

    key: str
    start: datetime
    stop: datetime | None
    facts: Mapping[str, Any]


class Judged(NamedTuple):
    """A case under a policy."""

    key: str
    standing: Standing
    deadline: datetime | None
    stop: datetime | None
    overdue: bool
    """Whether it was, or now is, past its deadline."""
    over_seconds: float
    """By how much, in the policy's own time; negative = to spare, 0 without a deadline."""
    fired: tuple[TimerKind, ...]
    """The timers that would have fired before the clock stopped."""


def judge(policy: Policy, case: Case, now: datetime) -> Judged:
    """What a policy would have meant for a case. Stopping exactly at the deadline is in time."""
    made = plan(policy, case.start, case.facts)
    end = case.stop if case.stop is not None else now
    fired = tuple(due.kind for due in made.timers if due.at <= end and (case.stop is None or due.at < case.stop))
    overdue = made.deadline is not None and end > made.deadline
    standing: Standing
    if case.stop is None:
        standing = "open"
    elif made.deadline is None:
        standing = "without_deadline"
    else:
        standing = "late" if overdue else "in_time"
    over = 0.0
    if made.deadline is not None:
        if policy.calendar is None or abs((end - made.deadline).days) > 3650:
            over = (end - made.deadline).total_seconds()
        else:
            over = policy.calendar.between(made.deadline, end)
    return Judged(case.key, standing, made.deadline, case.stop, overdue, over, fired)


class Tracker:
    """Collects the run of a clock from the events of one trace, in their order."""

    __slots__ = ("facts", "start", "started", "stop", "stopped")

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.start: datetime | None = None
        self.stop: datetime | None = None
        self.started = False
        self.stopped = False

    def feed(self, clock: Clock, event_type: str, payload: Mapping[str, Any] | None, occurred: datetime) -> None:
        """One more event. The first start counts, and the first stop after it."""
        collect(self.facts, event_type, payload)
        if not self.started and clock.start.matches(event_type, payload):
            self.started, self.start = True, occurred
        if self.started and not self.stopped and clock.stop.matches(event_type, payload):
            self.stopped, self.stop = True, occurred

    def case(self, key: str, clock: Clock) -> Case | None:
        """The run, or None when the clock never started. An edge with a fact takes its time from it.

        A stop whose fact is missing has not happened, whatever event was seen.
        """
        if not self.started or self.start is None:
            return None
        start, stop = self.start, self.stop
        if clock.start.at is not None:
            start = fact_time(self.facts, clock.start.at) or start
        if stop is not None and clock.stop.at is not None:
            stop = fact_time(self.facts, clock.stop.at)
        return Case(key, start, stop, self.facts)


def collect(facts: dict[str, Any], event_type: str, payload: Mapping[str, Any] | None) -> None:
    """Add what an event says to the facts of its trace: ``context`` of the start, ``facts`` of observations."""
    if payload is None:
        return
    if event_type == "TraceStarted":
        context = payload.get("context")
        if isinstance(context, Mapping):
            facts.update(context)
        return
    found = payload.get("facts")
    for fact in found if isinstance(found, Sequence) and not isinstance(found, str) else ():
        if isinstance(fact, Mapping) and isinstance(fact.get("key"), str):
            value = fact.get("value")
            facts[fact["key"]] = value.get("value") if isinstance(value, Mapping) else value


def fact_time(facts: Mapping[str, Any], key: str) -> datetime | None:
    """The time a fact holds (RFC 3339, a blank instead of T is fine), or None."""
    value = facts.get(key)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if len(text) > 10 and text[10] == " ":
        text = f"{text[:10]}T{text[11:]}"
    found = instant(text)
    return None if found is None else found.astimezone(UTC)


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value
