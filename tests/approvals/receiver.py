"""A webhook receiver on this machine: keeps what it was sent, answers what it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """Requests in the order they came."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        """Statuses to answer, the last one for ever; nothing: 200."""
        self.location = ""
        self.url = ""

    def status(self) -> int:
        if len(self.answers) > 1:
            return self.answers.pop(0)
        return self.answers[0] if self.answers else 200


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A listening one."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kept.heard.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(kept.status())
            if kept.location:
                self.send_header("Location", kept.location)
            self.end_headers()
            self.wfile.write(b"heard")

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_port}/hook?x=1"
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
