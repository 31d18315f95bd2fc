"""A client of the torture test: sends every key, in batches, and writes down each answer (run as a script).

torturer.py SLUG KEYS NUMBER FILE
"""

from __future__ import annotations

import json
import os
import random
import sys

import django

django.setup()

from tenants.access import system_principal  # noqa: E402
from tenants.models import Tenant  # noqa: E402
from traces import services  # noqa: E402
from traces.services import Refused  # noqa: E402

PER_TRACE = 10
BATCH = 7


def event(number: int, content: str) -> dict[str, object]:
    """Event ``number``: the first of each ten starts their trace."""
    first = number % PER_TRACE == 0
    entity = {"entity_type": "a", "entity_id": "1"}
    source = {"system": "s", "object_type": "o", "object_id": "1"}
    return {
        "trace_id": f"trace-{number // PER_TRACE}",
        "event_type": "TraceStarted" if first else "InputObserved",
        "source": {"producer_id": "p", "system": "s"},
        "actor": {"actor_type": "agent", "actor_id": "a"},
        "idempotency_key": f"k{number}",
        "payload": {"workflow": "w", "title": content, "primary_entity": entity}
        if first
        else {"input_id": content, "source": source, "facts": []},
    }


def main(slug: str, keys: int, number: int, path: str) -> None:
    """Until every key has been answered; a restart sends them all again."""
    tenant = Tenant.objects.get(slug=slug)
    principal = system_principal(tenant)
    rng = random.Random(os.getpid())
    with open(path, "a") as file:
        file.write("\n")  # ends the line that a killed predecessor may have left
        open_keys = list(range(keys))
        while open_keys:
            window = open_keys[: 3 * BATCH]
            chosen = sorted(rng.sample(window, min(BATCH, len(window))))
            contents = [f"other-{number}" if rng.random() < 0.1 else "same" for _ in chosen]
            events = [event(n, content) for n, content in zip(chosen, contents, strict=True)]
            results = services.append(tenant, principal=principal, events=events, atomic=False)
            for n, content, result in zip(chosen, contents, results, strict=True):
                if isinstance(result, Refused):
                    code = result.leading.code
                    if code == "trace.not_found":
                        continue  # its trace is started by another batch
                    answer = (f"k{n}", code, None, content)
                else:
                    answer = (f"k{n}", result.status, result.log_seq, content)
                open_keys.remove(n)
                file.write(json.dumps(answer) + "\n")
            file.flush()


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
