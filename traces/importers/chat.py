"""Message trajectories with tool calls, as OpenAI-style agents record them.

One run is one object with ``traj``, ``messages``, ``trajectory`` or ``conversation``; a file is an
array of runs, JSON lines, or a single run. Runs usually carry no times: then times are made up from
a base and the message number, the same on every import, and ``context.times`` says ``synthetic``.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from traces.importers.case import (
    SOURCE_EVENT,
    SOURCE_PART,
    Case,
    ImportProblem,
    Refusal,
    clean_text,
    clean_value,
    json_documents,
    plain_id,
    rfc3339,
    safe_id,
    short_hash,
)
from traces.importers.trail import Trail, attach, fact, settings

DEFAULTS: dict[str, Any] = {
    "name": "",
    "workflow": "chat",
    "producer_id": "",
    "system": "chat",
    "agent_id": "agent",
    "customer": {"type": "customer", "from": "info.task.user_id"},
    "time": {"base": "2000-01-01T00:00:00Z", "step_seconds": 1, "run_minutes": 60},
    "tools": {
        "handover": ["transfer_to_human_agents", "transfer_to_human", "escalate_to_human"],
        "changing": [],
        "reading": [
            "get", "list", "search", "find", "read", "fetch", "look", "lookup", "calculate",
            "think", "query", "check", "count", "describe", "show", "view",
        ],
        "error_prefixes": ["Error"],
    },
    "reward_success": 1.0,
}  # fmt: skip
"""``tools.changing`` names the tools that change state; left empty, every tool does whose first
word is not in ``tools.reading``. An empty ``name`` is the file's name."""

_KEYS = ("traj", "messages", "trajectory", "conversation")
_HEADING = re.compile(r"^\s*#+\s*(.+?)\s*$", re.MULTILINE)
_WORD = re.compile(r"[^a-z0-9]+")
_TITLE_LENGTH = 120
_CHANGES = 200
"""More arguments than this are not repeated as changes: five values each would overfill an event."""


def slug(text: str) -> str:
    """``text`` in lower case words joined by hyphens."""
    return _WORD.sub("-", text.lower()).strip("-")


def text_of(content: Any) -> str:
    """The text of a message: a string as it is, parts joined, anything else as JSON."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in content
    ):
        return "\n".join(part["text"] for part in content)
    return json.dumps(content, ensure_ascii=False)


def read(path: Path, *, mapping: Mapping[str, Any] | None = None) -> Iterator[Case]:
    """Every run as a `Case`. Raises `ImportProblem`."""
    chosen = settings(DEFAULTS, mapping or {})
    chosen["name"] = chosen["name"] or slug(path.name.split(".")[0]) or "chat"
    chosen["producer_id"] = chosen["producer_id"] or f"import:{chosen['name']}"
    try:
        base = datetime.fromisoformat(rfc3339(chosen["time"]["base"]))
    except ValueError as error:
        raise ImportProblem("import.bad_mapping", f"time.base: {error}.") from error
    seen: Counter[str] = Counter()
    for number, run, position in json_documents(path):
        messages = None
        if isinstance(run, dict):
            messages = next((run[key] for key in _KEYS if isinstance(run.get(key), list)), None)
        if not messages or not all(isinstance(message, dict) for message in messages):
            lost = Case("", [], position, 1, None)
            lost.refusals.append(
                Refusal(
                    "import.no_messages",
                    f"A run needs a list of message objects under one of {', '.join(_KEYS)}.",
                    f"run {number}",
                )
            )
            yield lost
            continue
        case_id = _case_id(run, number)
        seen[case_id] += 1
        if seen[case_id] > 1:
            case_id = f"{case_id}-again-{seen[case_id]}"
        started = base + timedelta(minutes=chosen["time"]["run_minutes"] * number)
        yield _Run(chosen, run, messages, case_id, started).case(position)


def _case_id(run: Mapping[str, Any], number: int) -> str:
    if "task_id" in run and "trial" in run:
        return f"task{run['task_id']}-trial{run['trial']}"
    own = run.get("id") or run.get("conversation_id")
    return str(own) if isinstance(own, str | int) else f"run{number}"


class _Call:
    """One tool call that waits for its result."""

    __slots__ = ("action_id", "call_id", "event_id", "handover", "name")

    def __init__(self, call_id: str, name: str, action_id: str, handover: bool) -> None:
        self.call_id = call_id
        self.name = name
        self.action_id = action_id
        self.handover = handover
        self.event_id = ""


class _Run:
    """Builds the case of one run."""

    def __init__(
        self,
        chosen: Mapping[str, Any],
        run: Mapping[str, Any],
        messages: list[dict[str, Any]],
        case_id: str,
        started: datetime,
    ) -> None:
        self.chosen = chosen
        self.run = run
        self.messages = messages
        self.started = started
        self.system = str(chosen["system"])
        self.trail = Trail(chosen["name"], case_id, chosen["producer_id"], self.system)
        self.counts: Counter[str] = Counter()
        self.tools: Counter[str] = Counter()
        self.waiting: list[_Call] = []
        self.synthetic = False
        customer: Any = run
        for step in chosen["customer"]["from"].split("."):
            customer = customer.get(step) if isinstance(customer, Mapping) else None
        self.customer = plain_id(str(customer)) if customer else self.trail.trace_id
        self.entity = {"entity_type": chosen["customer"]["type"], "entity_id": self.customer}
        self.agent = {"actor_type": "agent", "actor_id": chosen["agent_id"]}
        self.person = {"actor_type": "person", "actor_id": self.customer}
        self.machine = {"actor_type": "system", "actor_id": self.system}
        self.policy_text = next((text_of(m.get("content")) for m in messages if m.get("role") == "system"), "")
        heading = _HEADING.search(self.policy_text)
        self.policy = {
            "policy_id": safe_id(slug(heading[1]) if heading else "system-prompt", 120),
            "policy_version": short_hash(self.policy_text),
        }

    def case(self, position: int) -> Case:
        """All events of the run, start and finish included."""
        whens = [self._when(index, message) for index, message in enumerate(self.messages)]
        for index, message in enumerate(self.messages):
            self.counts["messages"] += 1
            self._message(f"m{index}", index, message, whens[index])
        outcome = self._outcome()
        events = self.trail.envelopes
        self.trail.envelopes = []
        self._start(whens[0])
        self.trail.envelopes += events
        if outcome is not None:
            self.trail.add(
                "TraceFinished", "finish", whens[-1], self.machine,
                {"outcome": outcome, "summary": f"reward {self.run['reward']}"},
            )  # fmt: skip
        return self.trail.case(position, outcome)

    def _when(self, index: int, message: Mapping[str, Any]) -> str:
        for key in ("timestamp", "created_at"):
            own = message.get(key)
            if isinstance(own, str):
                try:
                    return rfc3339(own)
                except ValueError:
                    continue
        self.synthetic = True
        when = self.started + timedelta(seconds=index * self.chosen["time"]["step_seconds"])
        return when.isoformat().replace("+00:00", "Z")

    def _outcome(self) -> str | None:
        reward = self.run.get("reward")
        if isinstance(reward, bool) or not isinstance(reward, int | float):
            return None
        return "success" if reward >= self.chosen["reward_success"] else "failure"

    def _start(self, when: str) -> None:
        request = next((text_of(m.get("content")) for m in self.messages if m.get("role") == "user"), "")
        title = " ".join(clean_text(request).split()) or self.trail.trace_id
        if len(title) > _TITLE_LENGTH:
            title = title[: _TITLE_LENGTH - 1] + "\u2026"
        names = ("messages", "tool_calls", "tool_errors", "state_changing_actions", "handovers",
                 "user_messages", "assistant_messages", "unmatched_results")  # fmt: skip
        counts = {name: self.counts[name] for name in names}
        counts["split"] = self.trail.split
        context: dict[str, Any] = {
            "source_counts": counts,
            "tools": dict(sorted(self.tools.items())),
            "times": "synthetic" if self.synthetic else "recorded",
        }
        if self.policy_text:
            context["policy"] = self.policy
        for key in ("task_id", "trial", "reward"):
            if isinstance(self.run.get(key), int | float | str):
                context[key] = clean_value(self.run[key])
        self.trail.add(
            "TraceStarted", "start", when, self.agent,
            {
                "workflow": self.chosen["workflow"],
                "title": title,
                "primary_entity": self.entity,
                "context": context,
            },
        )  # fmt: skip

    def _message(self, mark: str, index: int, message: dict[str, Any], when: str) -> None:
        role = message.get("role")
        text = text_of(message.get("content"))
        calls = message.get("tool_calls")
        if role == "user":
            self.counts["user_messages"] += 1
            self._input(mark, when, self.person, "user_message", text)
        elif role == "assistant":
            self.counts["assistant_messages"] += 1
            calls = [c for c in calls if isinstance(c, dict)] if isinstance(calls, list) else []
            if not calls:
                self._input(mark, when, self.agent, "assistant_message", text)
            for number, call in enumerate(calls):
                own = mark if number == 0 else f"{mark}.call-{number + 1}"
                tag = SOURCE_EVENT if number == 0 else SOURCE_PART
                self._call(own, when, call, text if number == 0 else "", tag)
        elif role == "tool":
            self._result(mark, when, message, text)
        elif role == "system" and text == self.policy_text:
            self._input(mark, when, self.machine, "policy", text, self.policy["policy_id"])
        else:
            self._input(mark, when, self.machine, f"{slug(str(role)) or 'unknown'}_message", text)

    def _input(
        self,
        mark: str,
        when: str,
        actor: dict[str, str],
        kind: str,
        text: str,
        ident: str = "",
        **extra: Any,
    ) -> None:
        payload: dict[str, Any] = {
            "input_id": mark,
            "source": {
                "system": self.system,
                "object_type": kind,
                "object_id": ident or f"{self.trail.trace_id}.{mark}",
            },
            "facts": [],
            **extra,
        }
        held: dict[str, Any] = {}
        rest = attach(held, "text", text)
        if "text" in held:
            payload["facts"] = [fact("text", text)]
        payload.update({key: value for key, value in held.items() if key != "text"})
        event_id = self.trail.add("InputObserved", mark, when, actor, payload, tags=(SOURCE_EVENT,))
        self.trail.rest(mark, when, actor, "text", rest, event_id)

    def _changes_state(self, name: str) -> bool:
        tools = self.chosen["tools"]
        if tools["changing"]:
            return name in tools["changing"]
        return re.split(r"[_\-. ]", name.lower(), maxsplit=1)[0] not in tools["reading"]

    def _call(self, mark: str, when: str, call: Mapping[str, Any], said: str, tag: str) -> None:
        function = call.get("function")
        function = function if isinstance(function, dict) else call
        name = plain_id(str(function.get("name") or "unnamed"))
        self.counts["tool_calls"] += 1
        self.tools[name] += 1
        handover = name in self.chosen["tools"]["handover"]
        arguments: Any = function.get("arguments")
        if isinstance(arguments, str):
            # Where it is not JSON, the text itself is what was sent.
            with contextlib.suppress(ValueError, RecursionError):
                arguments = json.loads(arguments)
        made = _Call(str(call.get("id") or ""), name, f"call-{self.counts['tool_calls']}", handover)
        self.waiting.append(made)
        payload: dict[str, Any]
        if handover:
            self.counts["handovers"] += 1
            summary = arguments.get("summary") if isinstance(arguments, dict) else None
            reason = clean_text(str(summary or said or "The agent handed over to a human."))
            made.action_id = f"handover-{self.counts['handovers']}"
            payload = {
                "exception_id": made.action_id,
                "policy": self.policy,
                "reason": reason[:4000],
                "evidence": [],
                "priority": "normal",
                "requested_by": self.agent,
                "tool": name,
            }
        else:
            payload = {
                "action_id": made.action_id,
                "action_type": name,
                "target_entity": self.entity,
                "target_system": self.system,
                "changes": [],
                "policy": self.policy,
            }
            if self._changes_state(name):
                self.counts["state_changing_actions"] += 1
                payload["state_changing"] = True
        rest = attach(payload, "arguments", arguments)
        whole = payload.get("arguments")
        if payload.get("state_changing") and isinstance(whole, dict) and len(whole) <= _CHANGES:
            payload["changes"] = [
                {"path": key, "new_value": {"type": "json", "value": value}} for key, value in whole.items()
            ]
        more = attach(payload, "message", said) if said else []
        made.event_id = self.trail.add(
            "ExceptionRequested" if handover else "ActionProposed",
            mark, when, self.agent, payload, tags=(tag,),
        )  # fmt: skip
        self.trail.rest(mark, when, self.agent, "arguments", rest, made.event_id)
        self.trail.rest(mark, when, self.agent, "message", more, made.event_id)

    def _match(self, message: Mapping[str, Any]) -> _Call | None:
        """The call a result answers: the oldest waiting one with its id, and name if it has one.

        Ids are not unique in recorded runs, and some recorders leave them out.
        """
        call_id, name = str(message.get("tool_call_id") or ""), message.get("name")
        for call in self.waiting:
            if (not call_id or call.call_id == call_id) and (not name or call.name == name):
                self.waiting.remove(call)
                return call
        return None

    def _result(self, mark: str, when: str, message: dict[str, Any], text: str) -> None:
        call = self._match(message)
        if call is None:
            self.counts["unmatched_results"] += 1
            self._input(mark, when, self.machine, "tool_result", text)
            return
        failed = text.startswith(tuple(self.chosen["tools"]["error_prefixes"]))
        if failed:
            self.counts["tool_errors"] += 1
        if call.handover:
            self._input(mark, when, self.machine, "handover_result", text, exception_id=call.action_id)
            return
        payload: dict[str, Any] = {
            "action_id": call.action_id,
            "status": "failure" if failed else "success",
        }
        if failed:
            payload["error"] = clean_text(text)[:4000]
        rest = attach(payload, "result", text)
        event_id = self.trail.add(
            "ActionCommitted", mark, when, self.machine, payload,
            tags=(SOURCE_EVENT,), cause=call.event_id,
        )  # fmt: skip
        self.trail.rest(mark, when, self.machine, "result", rest, event_id)
