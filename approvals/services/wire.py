"""One guarded POST: resolve once, check every address, connect to that very address, follow nothing.

The name is asked for once; the connection goes to the number that was checked (a second question could
be answered otherwise: rebinding), while Host header, SNI and certificate stay those of the name.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from approvals.domain import addresses

TOTAL_SECONDS = 10.0
"""For everything together: a receiver that drips one byte at a time does not hold us longer."""
CONNECT_SECONDS = 5.0
MOST_ANSWER = 2_000

Resolve = Callable[[str, int], list[str]]


class Outcome(NamedTuple):
    """What came of it."""

    status: int | None
    error: str
    address: str
    milliseconds: int
    answer: str = ""


def resolve(host: str, port: int) -> list[str]:
    """Every address of a name, as the machine's own resolver answers; also ``0x7f.1`` and the like."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def connect(address: str, port: int, timeout: float) -> socket.socket:
    """A connection to a number. The only place where a webhook's connection is opened."""
    return socket.create_connection((address, port), timeout=timeout)


def post(url: str, headers: Mapping[str, str], body: str, *, loopback: bool, find: Resolve | None = None) -> Outcome:
    """Send, and say what happened; never raises for what the other side does."""
    started = time.monotonic()

    def outcome(status: int | None, error: str, address: str = "", answer: str = "") -> Outcome:
        return Outcome(status, error, address, round(1000 * (time.monotonic() - started)), answer)

    target = addresses.parse(url, plain=loopback)
    if isinstance(target, str):
        return outcome(None, target)
    try:
        found = (find or resolve)(target.host, target.port)
    except (OSError, UnicodeError) as error:
        return outcome(None, f"The name cannot be resolved: {error}"[:300])
    wrong = [each for each in found if not addresses.may_connect(each, loopback=loopback)]
    if wrong or not found:
        return outcome(None, f"Refused: {', '.join(wrong[:3]) or 'no address'} is private or special.")
    address = found[0]
    if not target.secure and not addresses.is_loopback(address):
        return outcome(None, "Refused: plain http goes to this machine only.", address)
    connection = _Pinned(target, address, started + TOTAL_SECONDS)
    watch = threading.Timer(TOTAL_SECONDS, connection.cut)
    watch.daemon = True
    watch.start()
    try:
        connection.request("POST", target.path, body.encode(), {**headers, "Host": target.authority})
        answer = connection.getresponse()
        said = answer.read(MOST_ANSWER).decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")
        if connection.was_cut:  # what looks like an end was our own doing
            raise TimeoutError
        return outcome(answer.status, "" if answer.status < 300 else f"HTTP {answer.status}", address, said)
    except (OSError, http.client.HTTPException, ValueError) as error:
        late = connection.was_cut or isinstance(error, TimeoutError)
        said = f"No answer within {TOTAL_SECONDS:.0f} s." if late else _words(error)
        return outcome(None, said[:300], address)
    finally:
        watch.cancel()
        connection.close()


def _words(error: Exception) -> str:
    """Why nothing arrived, for whoever runs the receiver; what the system said in brackets."""
    if isinstance(error, ConnectionRefusedError):
        said = "Nobody listens at this address"
    elif isinstance(error, ssl.SSLError):
        said = "The certificate or the encryption is not right"
    elif isinstance(error, ConnectionError | http.client.RemoteDisconnected):
        said = "The receiver hung up"
    else:
        said = "Nothing could be sent"
    return f"{said} ({type(error).__name__}: {error})."


class _Pinned(http.client.HTTPConnection):
    """Speaks to one number under the name it was found by."""

    def __init__(self, target: addresses.Target, address: str, until: float) -> None:
        super().__init__(target.host, target.port, timeout=CONNECT_SECONDS)
        self._target, self._address, self._until = target, address, until
        self.was_cut = False

    def connect(self) -> None:
        """To the checked number; certificate and SNI are those of the name."""
        raw = connect(self._address, self._target.port, CONNECT_SECONDS)
        raw.settimeout(max(0.1, self._until - time.monotonic()))
        self.sock = raw
        if self._target.secure:
            self.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=self._target.host)

    def cut(self) -> None:
        """The time is over, whatever is going on."""
        self.was_cut = True
        held = self.sock
        if held is not None:
            try:
                held.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
