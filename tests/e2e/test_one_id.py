"""One request id through the whole product: HTTP, log, task, socket."""

from __future__ import annotations

import json
import urllib.request
import uuid
from contextlib import suppress
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.e2e.product import Product, until
from tests.factories import Cast, make_token
from tests.traces.events import finish, new_id, start, step

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


def lines(product: Product, part: str, request: str) -> list[dict[str, Any]]:
    """What a process wrote down on behalf of the request."""
    found = product.log(part)
    return [line for line in found if request == line.get("request_id") or request in (line.get("requests") or ())]


def heard(product: Product, request: str) -> list[dict[str, Any]]:
    """The doorbells of the request that the socket process heard."""
    return [line for line in lines(product, "sockets", request) if line["event"] == "sockets.doorbell_heard"]


def test_a_request_is_found_in_every_process_it_moved(product: Product, cast: Cast) -> None:
    _token, secret = make_token(cast.acme, "ingest", "read")
    trace = new_id()
    topic = f"tenant:{cast.acme.slug}:trace:{trace}"

    def append(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The request's id and the receipt."""
        request = f"follow-{uuid.uuid4().hex}"
        post = urllib.request.Request(
            f"{product.address}/api/v1/traces/{trace}/events",
            json.dumps(event).encode(),
            {"Authorization": f"Bearer {secret}", "Content-Type": "application/json", "X-Request-ID": request},
        )
        with urllib.request.urlopen(post) as answer:
            assert answer.headers["X-Request-ID"] == request
            return request, json.load(answer)

    append(start(trace))  # so that there is a trace to follow
    with connect(product.socket_address, additional_headers={"Authorization": f"Bearer {secret}"}) as socket:
        socket.send(json.dumps({"type": "subscribe", "topic": topic}))
        assert json.loads(socket.recv(20))["type"] == "subscribed"

        def rung() -> bool:
            """A doorbell was heard. One rung before the process has joined the layer's group is heard by nobody: the
            process reads the log when it has joined, so the event arrives all the same, but on nobody's behalf."""
            request, _receipt = append(step(trace))
            with suppress(AssertionError):
                return bool(until(lambda: heard(product, request), "heard", timeout=2))
            return False

        until(rung, "the socket process has joined the group of the trace")
        request, receipt = append(finish(trace))
        until(lambda: json.loads(socket.recv(20)).get("log_seq") == receipt["log_seq"], "the frame of the request")

    (appended,) = [line for line in lines(product, "web", request) if line["event"] == "event.appended"]
    assert (appended["tenant"], appended["trace"], appended["head"]) == (cast.acme.slug, trace, receipt["log_seq"])
    rings = until(lambda: heard(product, request), "the socket process heard of the request")
    assert {line["topic"] for line in rings} == {topic}
    assert max(line["sockets"] for line in rings) == 1
    # Whether it found the event to fold or another follower had been faster, the task knows whom it works for.
    until(
        lambda: [
            line
            for line in lines(product, "worker", request)
            if (line["event"], line.get("task")) == ("task.done", "projections.catch_up")
        ],
        "a worker followed the log on behalf of the request",
    )

    everything = "".join((product.folder / f"{part}.log").read_text() for part in product.processes)
    assert secret not in everything
    assert secret.split("_", 2)[2] not in everything, "the secret half of a token"
