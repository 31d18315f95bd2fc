"""A proxy that sometimes cuts the line between a request that was done and its answer."""

from __future__ import annotations

import contextlib
import random
import socket
import threading


class CuttingProxy:
    """Listens on a port of its own; ``cuts`` counts the answers that nobody got."""

    def __init__(self, upstream: int, rng: random.Random, *, share: float = 0.12) -> None:
        self.upstream, self.rng, self.share = upstream, rng, share
        self.cuts = 0
        self._guard = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> CuttingProxy:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        # A thread that waits in accept() is not woken by close().
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One exchange per connection (the clients say ``Connection: close``)."""
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.upstream)) as server:
            server.sendall(_request(client))
            answer = server.recv(65536)  # the first bytes of an answer: what was asked has been done
            with self._guard:
                cut = self.rng.random() < self.share
                self.cuts += cut
            if cut:
                return
            while answer:
                client.sendall(answer)
                answer = server.recv(65536)


def _request(client: socket.socket) -> bytes:
    """Head and body of one request with a Content-Length."""
    held = b""
    while b"\r\n\r\n" not in held:
        held += _more(client)
    head, _, body = held.partition(b"\r\n\r\n")
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    length = int(lines.get(b"content-length", b"0"))
    while len(body) < length:
        body += _more(client)
    return head + b"\r\n\r\n" + body


def _more(client: socket.socket) -> bytes:
    found = client.recv(65536)
    if not found:
        raise OSError("the client has gone")
    return found
