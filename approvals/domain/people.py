"""Who somebody is, for the four eyes: all names under which the same person may appear. Pure.

A person signs in with an e-mail, a program carries a token somebody issued, and an agent writes down
who asked in words of its own (``jonas.weber``). Two of them are one person as soon as they share a
name. A name too many refuses a colleague, a name too few lets somebody approve their own request, so
in doubt it is the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Person(NamedTuple):
    """Somebody who acts on an item."""

    ident: str
    """``user:ana@example.org``, ``token:1a2b3c4d`` or ``system``."""
    names: frozenset[str]
    """Normal forms of everything this person is called; see `names_of`."""
    permissions: frozenset[str]


def normal(name: str) -> str:
    """A name as it is compared: case and white space do not count."""
    return " ".join(name.casefold().split())


def names_of(*, ident: str, email: str = "", issuer_email: str = "", label: str = "") -> frozenset[str]:
    """Every name of a principal.

    Args:
        ident: as the log records it.
        email: of a person; its part before the @ is a name too.
        issuer_email: of the person who issued the token that acts.
        label: the name shown for a person.
    """
    found = {ident, label}
    for address in (email, issuer_email, ident.partition(":")[2] if ident.startswith("user:") else ""):
        if address:
            found |= {f"user:{address}", address, address.partition("@")[0]}
    return frozenset(normal(name) for name in found if name.strip())


def names_in(requested_by: Any) -> frozenset[str]:
    """The names a payload's ``requested_by`` holds; empty when it names nobody."""
    if not isinstance(requested_by, Mapping):
        return frozenset()
    found: set[str] = set()
    for key in ("actor_id", "email", "user", "name", "id"):
        value = requested_by.get(key)
        if isinstance(value, str) and value.strip():
            found.add(normal(value))
            if "@" in value:
                found |= {normal(value.partition("@")[0]), normal(f"user:{value}")}
    return frozenset(found)


def same(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether two sets of normal names belong to one person."""
    return not frozenset(one).isdisjoint(other)
