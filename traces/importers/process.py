"""From the events of one process case to client envelopes, as a mapping says.

Case attributes are named ``case:<key>`` in XES and CSV alike, event attributes by their own key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from traces.importers.case import (
    MAX_SAFE_INTEGER,
    MAX_TRACE_ID,
    SOURCE_EVENT,
    Case,
    Envelope,
    Refusal,
    clean_text,
    instant,
    plain_id,
    rfc3339,
    safe_id,
)
from traces.importers.mapping import Attributes, Entry, Pick, ProcessMapping

_WORD = re.compile(r"[^a-z0-9]+")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)
_FACT_TYPES = {"string": "string", "number": "decimal", "time": "timestamp"}


def number_or_text(text: str) -> int | float | str:
    """A JSON number when ``text`` is one that JSON keeps exactly, else the text itself."""
    if not _NUMBER.fullmatch(text):
        return text
    number = float(text)
    if abs(number) > MAX_SAFE_INTEGER:
        return text
    return int(number) if number.is_integer() else number


def picked(pick: Pick, attributes: Attributes, offset: str | None) -> int | float | str | None:
    """The value a `Pick` names, ``None`` when the attribute is absent or empty."""
    text = attributes.get(pick.source)
    if not text:
        return None
    if pick.kind == "number":
        return number_or_text(text)
    if pick.kind == "time":
        try:
            return rfc3339(text, offset)
        except ValueError:
            return clean_text(text)
    return clean_text(text)


class _Instances:
    """Numbered things of one case (offers, holds) that one event opens and a later one closes."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._open: dict[str, list[tuple[str, str]]] = {}

    def open(self, name: str, event_id: str) -> str:
        number = self._counts[name] = self._counts.get(name, 0) + 1
        ident = f"{name}-{number}"
        self._open.setdefault(name, []).append((ident, event_id))
        return ident

    def close(self, name: str) -> tuple[str, str | None]:
        """(id, event that opened it): the oldest open one, else a new one nobody opened."""
        waiting = self._open.get(name)
        if waiting:
            return waiting.pop(0)
        number = self._counts[name] = self._counts.get(name, 0) + 1
        return f"{name}-{number}", None


class _Spot:
    """What a payload builder knows about the event it describes."""

    __slots__ = ("actor", "attributes", "cause", "entity", "event_id", "index", "instances")

    def __init__(self, instances: _Instances, entity: dict[str, Any]) -> None:
        self.instances = instances
        self.entity = entity
        self.attributes: Attributes = {}
        self.actor: dict[str, str] = {}
        self.event_id = ""
        self.index = 0
        self.cause: str | None = None


Builder = Callable[[_Spot], dict[str, Any]]


class CaseBuilder:
    """Turns cases into envelopes. One per import; holds nothing of a case once it is built."""

    def __init__(self, mapping: ProcessMapping) -> None:
        self.mapping = mapping
        self._builders: dict[tuple[str, str], tuple[str, Builder] | None] = {}
        self._source = {"producer_id": mapping.producer_id, "system": mapping.system}

    def build(
        self,
        case_id: str,
        case: Attributes,
        events: Sequence[Mapping[str, str]],
        position: int,
    ) -> Case:
        """One case; its events in time order, events of the same moment in file order."""
        mapping = self.mapping
        trace_id = safe_id(f"{mapping.name}-{case_id}", MAX_TRACE_ID)
        built = Case(trace_id, [], position, len(events), None)
        timed = []
        for index, event in enumerate(events):
            text = event.get(mapping.time_key, "")
            try:
                when = rfc3339(text, mapping.default_offset)
                timed.append((instant(when), index, when, event))
            except ValueError as error:
                built.refusals.append(Refusal("import.bad_time", f"{error}.", f"case {case_id}, event {index}"))
        # The index is unique, so attributes are never compared.
        timed.sort()
        known = [item for item in timed if self._builder(item[3]) is not None]
        for _, index, _, event in timed:
            if self._builder(event) is None:
                activity = event.get(mapping.activity_key, "")
                built.refusals.append(
                    Refusal(
                        "import.activity_unknown",
                        f"The mapping has no entry for the activity {activity!r} and no default.",
                        f"case {case_id}, event {index}",
                    )
                )
        if not known:
            return built
        entity: dict[str, Any] = {
            "entity_type": mapping.entity_type,
            "entity_id": plain_id(mapping.entity_id({**case, "case": case_id})),
        }
        if mapping.entity_system is not None:
            entity["system"] = mapping.entity_system
        first, last = known[0], known[-1]
        key = safe_id(f"{mapping.name}:{case_id}", MAX_TRACE_ID)
        add = built.envelopes.append
        add(self._start(trace_id, key, case_id, case, entity, first[2], first[3]))
        spot = _Spot(_Instances(), entity)
        source, outcomes = self._source, mapping.outcome_activities
        activity_key, event_key = mapping.activity_key, mapping.event_key
        decided: str | None = None
        for _, index, when, event in known:
            entry = self._builder(event)
            assert entry is not None
            event_type, builder = entry
            own = event.get(event_key) if event_key else None
            mark = safe_id(own, 60) if own else str(index)
            actor = self._actor(event)
            spot.attributes, spot.actor, spot.index = event, actor, index
            spot.event_id, spot.cause = f"{trace_id}.{mark}", None
            envelope: Envelope = {
                "event_id": spot.event_id,
                "trace_id": trace_id,
                "event_type": event_type,
                "occurred_at": when,
                "source": source,
                "actor": actor,
                "idempotency_key": f"{key}:{mark}",
                "tags": [SOURCE_EVENT],
                "payload": builder(spot),
            }
            if spot.cause is not None:
                envelope["causation_event_id"] = spot.cause
            add(envelope)
            activity = event.get(activity_key, "")
            if activity in outcomes:
                built.outcome, decided = outcomes[activity], activity
        for attribute, outcome in mapping.outcome_present.items():
            if built.outcome is None and case.get(attribute):
                built.outcome, decided = outcome, f"{attribute} = {case[attribute]}"
        if built.outcome is not None:
            add(
                self._envelope(
                    "TraceFinished", trace_id, f"{key}:finish", "finish", last[2], last[3],
                    {"outcome": built.outcome, "summary": clean_text(str(decided))},
                )
            )  # fmt: skip
        return built

    def _envelope(
        self,
        event_type: str,
        trace_id: str,
        key: str,
        mark: str,
        when: str,
        event: Attributes,
        payload: dict[str, Any],
    ) -> Envelope:
        return {
            "event_id": f"{trace_id}.{mark}",
            "trace_id": trace_id,
            "event_type": event_type,
            "occurred_at": when,
            "source": self._source,
            "actor": self._actor(event),
            "idempotency_key": key,
            "tags": [],
            "payload": payload,
        }

    def _start(
        self,
        trace_id: str,
        key: str,
        case_id: str,
        case: Attributes,
        entity: dict[str, Any],
        when: str,
        event: Attributes,
    ) -> Envelope:
        mapping = self.mapping
        context: dict[str, Any] = {}
        for pick in mapping.context:
            value = picked(pick, case, mapping.default_offset)
            if value is not None:
                context[pick.name] = value
        return self._envelope(
            "TraceStarted", trace_id, f"{key}:start", "start", when, event,
            {
                "workflow": mapping.workflow,
                "title": clean_text(mapping.title({**case, "case": case_id})),
                "primary_entity": entity,
                "context": context,
            },
        )  # fmt: skip

    def _actor(self, event: Attributes) -> dict[str, str]:
        name = event.get(self.mapping.actor_key)
        if not name:
            return self.mapping.missing_actor
        return {"actor_type": self.mapping.actor_type, "actor_id": plain_id(name)}

    def _builder(self, event: Attributes) -> tuple[str, Builder] | None:
        activity = event.get(self.mapping.activity_key, "")
        step = event.get(self.mapping.lifecycle_key, "")
        try:
            return self._builders[activity, step]
        except KeyError:
            entry = self.mapping.entry(activity, step.lower()) if activity else None
            made = None
            if entry is not None:
                made = (entry.event, self._make(entry, activity, step))
            self._builders[activity, step] = made
            return made

    def _make(self, entry: Entry, activity: str, step: str) -> Builder:
        """The payload function for one activity: all that is constant is computed once."""
        mapping, keys = self.mapping, entry.keys
        slug = _WORD.sub("-", activity.lower()).strip("-") or "activity"
        said: dict[str, Any] = {"activity": clean_text(activity)}
        if step:
            said["lifecycle"] = clean_text(step)
        system = keys.get("target_system", mapping.system)
        policy = {}
        if "policy" in keys:
            policy = {"policy_id": keys["policy"]["id"], "policy_version": keys["policy"]["version"]}
        changes = [
            {"path": path, "new_value": {"type": "string", "value": value}}
            for path, value in keys.get("changes", {}).items()
        ]
        instance = keys.get("instance", "")

        if entry.event == "InputObserved":
            object_type = keys.get("object_type", "activity")
            told = [_fact(key, "string", value) for key, value in said.items()]

            def observed(spot: _Spot) -> dict[str, Any]:
                return {
                    "input_id": f"{slug}-{spot.index}",
                    "source": {
                        "system": mapping.system,
                        "object_type": object_type,
                        "object_id": spot.entity["entity_id"],
                    },
                    "facts": told + _facts(entry.facts, spot.attributes, mapping.default_offset),
                    **said,
                }

            return observed

        if entry.event == "PolicyEvaluated":

            def evaluated(spot: _Spot) -> dict[str, Any]:
                return {
                    "policy": policy,
                    "inputs": [],
                    "decision": keys["decision"],
                    "violations": [],
                    "explanation": keys.get("explanation", {}),
                    **said,
                }

            return evaluated

        if entry.event == "ExceptionRequested":

            def requested(spot: _Spot) -> dict[str, Any]:
                return {
                    "exception_id": spot.instances.open(instance, spot.event_id),
                    "policy": policy,
                    "reason": keys["reason"],
                    "evidence": [],
                    "priority": keys.get("priority", "normal"),
                    "requested_by": spot.actor,
                    **said,
                }

            return requested

        if entry.event == "ApprovalRecorded":
            kind = keys.get("subject_type", "exception" if instance else mapping.entity_type)

            def approved(spot: _Spot) -> dict[str, Any]:
                subject = spot.entity["entity_id"]
                if instance:
                    subject, spot.cause = spot.instances.close(instance)
                return {
                    "approval_id": f"{slug}-{spot.index}",
                    "subject": {"subject_type": kind, "subject_id": subject},
                    "approver": spot.actor,
                    "decision": keys["decision"],
                    "reason": keys.get("reason", activity),
                    "evidence": [],
                    **said,
                }

            return approved

        if entry.event == "ActionProposed":

            def proposed(spot: _Spot) -> dict[str, Any]:
                return {
                    "action_id": spot.instances.open(instance, spot.event_id),
                    "action_type": keys["action_type"],
                    "target_entity": spot.entity,
                    "target_system": system,
                    "changes": changes,
                    **said,
                }

            return proposed

        def committed(spot: _Spot) -> dict[str, Any]:
            action_id, spot.cause = spot.instances.close(instance)
            payload = {
                "action_id": action_id,
                "status": keys.get("status", "success"),
                **said,
            }
            if spot.cause is None:
                # Nobody proposed it, so only the commit can say what was done.
                payload["executed"] = {
                    "action_type": keys["action_type"],
                    "target_system": system,
                    "target_entity": spot.entity,
                    "changes": changes,
                }
            return payload

        return committed


def _fact(key: str, kind: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"type": kind, "value": value}}


def _facts(picks: Iterable[Pick], attributes: Attributes, offset: str | None) -> list[dict[str, Any]]:
    found = []
    for pick in picks:
        value = picked(pick, attributes, offset)
        if value is not None:
            found.append(_fact(pick.name, _FACT_TYPES[pick.kind], str(value)))
    return found
