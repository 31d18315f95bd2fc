"""Which addresses a webhook may go to. Pure.

A tenant chooses the address, our server connects: without a rule, the tenant would look into our own
network. Python's ``is_global`` is no such rule: until 3.12 it calls ``64:ff9b::7f00:1`` (NAT64 of
127.0.0.1) and ``2002:7f00:1::`` (6to4 of it) global. Source: IANA special-purpose registries of IPv4
and IPv6, RFC 6052, 3056, 4380, 5214.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit

_V4_CLOSED = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # a cloud's own services behind a public number
    )
)  # fmt: skip
_V6_OPEN = ipaddress.IPv6Network("2000::/3")
_V6_CLOSED = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
    )
)  # fmt: skip
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
MAX_URL = 2000
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?\.?")


class Target(NamedTuple):
    """A checked webhook address, taken apart."""

    secure: bool
    host: str
    port: int
    path: str
    """Path and query."""

    @property
    def authority(self) -> str:
        """For the Host header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.secure else 80) else f"{name}:{self.port}"


def is_public(text: str) -> bool:
    """Whether an IP address belongs to somebody on the public internet, whatever it is wrapped in."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if "%" in text:
        return False  # a zone: link-local by definition
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
        # Mapped, compatible and translated forms lie outside 2000::/3, as do loopback, ULA and link-local.
        return address in _V6_OPEN and not any(address in net for net in _V6_CLOSED) and not _isatap(address)
    return not any(address in net for net in _V4_CLOSED)


def _isatap(address: ipaddress.IPv6Address) -> bool:
    return int(address) >> 32 & 0xFFFFFFFF & ~0x02000000 == 0x00005EFE


def is_loopback(text: str) -> bool:
    """Whether it is this machine itself, plainly spelled."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address in net for net in LOOPBACK if net.version == address.version)


def may_connect(text: str, *, loopback: bool) -> bool:
    """Whether a webhook may be sent to this address; ``loopback`` only where a setting allows it."""
    return is_public(text) or (loopback and is_loopback(text))


def parse(url: str, *, plain: bool = False) -> Target | str:
    """The address taken apart, or what is wrong with it in words. ``plain`` also allows ``http``."""
    if len(url) > MAX_URL or not url.isascii() or any(char <= " " or char in '"<>\\^`{|}\x7f' for char in url):
        return "Write an address of at most 2,000 plain characters, without spaces."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "That is no address."
    if parts.scheme not in (("https", "http") if plain else ("https",)):
        return "It must begin with https://."
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "Leave out user name, password and fragment."
    host = (parts.hostname or "").lower()
    if not host or port == 0:
        return "It names no host."
    if not (_HOST.fullmatch(host) or ":" in host) or len(host) > 253:
        return "That is no host name."
    try:
        literal: str | None = str(ipaddress.ip_address(host))
    except ValueError:
        literal = None
    if literal is not None and not may_connect(literal, loopback=plain):
        return "This address is private or special; webhooks go to public addresses only."
    secure = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(secure, host, port or (443 if secure else 80), path)
