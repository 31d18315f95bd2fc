"""G4, the pure half: which addresses are public, whatever they are wrapped in."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.domain import addresses

CLOSED = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "169.254.169.254",
    "169.254.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "192.31.196.1",
    "192.52.193.1",
    "192.175.48.1",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "64:ff9b:1::808:808",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2002:808:808::",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2001:10::1",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "fc00::1",
    "fd00:ec2::254",
    "fdff::1",
    "ff02::1",
    "fec0::1",
    "100::1",
    "3fff::1",
    "5f00::1",
    "2a00:1450::5efe:7f00:1",
    "2a00:1450::200:5efe:a00:1",
    "2620:4f:8000::1",
]
OPEN = [
    "8.8.8.8",
    "1.1.1.1",
    "93.184.216.34",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("text", CLOSED)
def test_closed(text: str) -> None:
    assert not addresses.is_public(text)


@pytest.mark.parametrize("text", OPEN)
def test_open(text: str) -> None:
    assert addresses.is_public(text)


def test_the_corpus_is_as_large_as_asked_for() -> None:
    assert len(set(CLOSED)) >= 60


@given(st.ip_addresses(v=4))
def test_never_more_open_than_python_about_ipv4(address: ipaddress.IPv4Address) -> None:
    if addresses.is_public(str(address)):
        assert address.is_global or address in ipaddress.ip_network("192.0.0.0/24")
        assert not address.is_multicast


@given(st.ip_addresses(v=4, network="10.0.0.0/8") | st.ip_addresses(v=4, network="127.0.0.0/8"))
def test_no_wrapping_opens_a_private_address(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for base in ("::ffff:0:0", "64:ff9b::", "::", "64:ff9b:1::"):
        assert not addresses.is_public(str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(base)) + number)))
    six_to_four = ipaddress.IPv6Address((0x2002 << 112) + (number << 80))
    assert not addresses.is_public(str(six_to_four))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "ftp://example.org/", "https://", "https:///x", "https://a:b@example.org/",
        "https://example.org/#x", "https://example.org:0/", "https://example.org:99999/", "https://exa mple.org/",
        "https://127.0.0.1/", "https://[::1]/", "https://[64:ff9b::7f00:1]/", "https://10.1.2.3/x",
        "javascript:alert(1)",
        "https://example.org/\n", "https://exämple.org/", "https://" + "a" * 300 + ".org/", "https://[::1",
        "https://-a.org/",
        "https://example.org\\@127.0.0.1/", "", "//example.org/", "https://169.254.169.254/latest/meta-data",
    ],
)  # fmt: skip
def test_addresses_that_are_refused(url: str) -> None:
    assert isinstance(addresses.parse(url), str)


def test_an_address_taken_apart() -> None:
    found = addresses.parse("https://hooks.Example.org:8443/a/b?c=d")
    assert found == addresses.Target(True, "hooks.example.org", 8443, "/a/b?c=d")
    assert found.authority == "hooks.example.org:8443"
    plain = addresses.parse("http://[::1]:9000/", plain=True)
    assert isinstance(plain, addresses.Target)
    assert plain.authority == "[::1]:9000"
    assert isinstance(addresses.parse("http://10.0.0.1/", plain=True), str)
