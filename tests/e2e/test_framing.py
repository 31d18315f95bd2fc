"""Where a request ends: what says it twice is answered once and then hung up on, or refused."""

from __future__ import annotations

import re
import socket
from typing import Any

import pytest

pytestmark = pytest.mark.django_db

SECOND = b"GET /signin?smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
TWICE = {
    "length and chunks": [b"Content-Length: %d" % (len(SECOND) + 5), b"Transfer-Encoding: chunked"],
    "chunks and length": [b"Transfer-Encoding: chunked", b"Content-Length: 4"],
    "two lengths": [b"Content-Length: 5", b"Content-Length: 0"],
    "a list of lengths": [b"Content-Length: 5, 0"],
    "chunks in disguise": [b"Transfer-Encoding: xchunked", b"Content-Length: 5"],
    "a space before the colon": [b"Transfer-Encoding : chunked", b"Content-Length: 5"],
    "a signed length": [b"Content-Length: +5"],
}


def answers(port: int, *headers: bytes) -> list[int]:
    """The statuses that come back for a request with a second one where its body ends by one of its headers."""
    head = b"\r\n".join((b"POST /api/v1/events HTTP/1.1", b"Host: localhost", *headers))
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        line.settimeout(2)
        line.sendall(head + b"\r\n\r\n0\r\n\r\n" + SECOND)
        said = b""
        try:
            while piece := line.recv(65536):
                said += piece
                if len(re.findall(rb"HTTP/1\.1 \d{3}", said)) > 1:
                    break
        except (TimeoutError, ConnectionResetError):
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", said)]


@pytest.mark.parametrize("name", TWICE)
@pytest.mark.parametrize("server", ["pages", "sockets"])
def test_a_length_said_twice_opens_no_second_request(product: Any, server: str, name: str) -> None:
    found = answers(product.port + (server == "sockets"), *TWICE[name])
    assert len(found) <= 1, found
    assert not found or found[0] in (400, 401, 403, 404, 405, 411, 501), found


def test_the_control_a_second_request_would_be_seen(product: Any) -> None:
    assert answers(product.port, b"Transfer-Encoding: chunked") == [401, 200]
