"""A client of the append torture over HTTP (run as a script; standard library only, so that it starts fast).

torturer.py ADDRESS TOKEN KEYS NUMBER FILE SEED

Sends every key until it has been answered, one in ten with other content, and writes each answer down.
"""

from __future__ import annotations

import json
import random
import sys
import time
import urllib.error
import urllib.request
from typing import Any

PER_TRACE = 10
BATCH = 8


def event(number: int, content: str) -> dict[str, Any]:
    """Event ``number``: of each ten the first starts a trace and the last finishes it."""
    place = number % PER_TRACE
    entity = {"entity_type": "a", "entity_id": "1"}
    source = {"system": "s", "object_type": "o", "object_id": "1"}
    kind, payload = "InputObserved", {"input_id": content, "source": source, "facts": []}
    if place == 0:
        kind, payload = "TraceStarted", {"workflow": "w", "title": content, "primary_entity": entity}
    elif place == PER_TRACE - 1:
        kind, payload = "TraceFinished", {"outcome": "success", "summary": content}
    return {
        "trace_id": f"trace-{number // PER_TRACE}",
        "event_type": kind,
        "source": {"producer_id": "p", "system": "s"},
        "actor": {"actor_type": "agent", "actor_id": "a"},
        "idempotency_key": f"k{number}",
        "payload": payload,
    }


def content_of(stored: dict[str, Any]) -> str:
    """What `event` was given."""
    payload = stored["payload"]
    return str(payload.get("title") or payload.get("input_id") or payload.get("summary"))


def post(address: str, token: str, events: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Results in order; None when nobody knows what happened."""
    body = json.dumps({"events": events, "atomic": False}).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{address}/events", body, headers), timeout=20) as answer:
            found: list[dict[str, Any]] = json.load(answer)["results"]
            return found
    except urllib.error.HTTPError as error:
        if error.code < 500 and error.code != 429:
            raise
    except (OSError, ValueError):
        pass
    time.sleep(0.1)
    return None


def main(address: str, token: str, keys: int, number: int, path: str, seed: int) -> None:
    """Until every key has been answered; a restart sends them all again."""
    rng = random.Random(seed)
    with open(path, "a") as file:
        file.write("\n")  # ends the line that a killed predecessor may have left
        waiting = list(range(keys))
        while waiting:
            window = waiting[: 3 * BATCH]
            # A trace is finished only by whoever knows that everything before it is stored.
            open_traces = {n // PER_TRACE for n in waiting if n % PER_TRACE != PER_TRACE - 1}
            ready = [n for n in window if n % PER_TRACE != PER_TRACE - 1 or n // PER_TRACE not in open_traces]
            chosen = sorted(rng.sample(ready, min(BATCH, len(ready))))
            contents = [f"other-{number}" if rng.random() < 0.1 else "same" for _ in chosen]
            results = post(address, token, [event(n, c) for n, c in zip(chosen, contents, strict=True)])
            if results is None:
                continue
            for n, content, result in zip(chosen, contents, results, strict=True):
                status = result["status"] if result["status"] != "refused" else result["code"]
                if status == "trace.not_found":
                    continue  # its trace is started by another batch
                waiting.remove(n)
                file.write(json.dumps([f"k{n}", status, result.get("log_seq"), content]) + "\n")
            file.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5], int(sys.argv[6]))
