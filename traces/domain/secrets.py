"""The secret guard: credentials must not enter a log that never forgets (SEMANTICS 2).

Three sieves, each finer and dearer than the one before: one suspicion over the canonical text,
loose patterns over the same text, exact patterns over every decoded text with its path. Nearly all
events pass after the first. Escapes cannot hide anything: the canonical form spells printable
characters as themselves, and the last sieve sees decoded text.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from pydantic_core import SchemaValidator, core_schema

from traces.domain.canonical import jcs, strings
from traces.domain.violations import Violation, member

_NAMES = (
    r"(?:password|passwd|passphrase|pwd|client[_-]?secret|secret[_-]?(?:access[_-]?)?key|api[_-]?key"
    r"|access[_-]?token|auth[_-]?token|private[_-]?key)"
)
"""What a password is called."""
_PLACEHOLDER = (
    r"(?![*<\[{$%#]|x{4,}|\.{3}|(?:null|none|redacted|masked|hidden|removed|changeme|required|expired|invalid"
    r"|missing|unset|true|false)\b)"
)
"""Not what stands in the place of one."""


class Pattern(NamedTuple):
    """One kind of credential."""

    name: str
    loose: re.Pattern[str]
    """Finds at least everything that `exact` finds in some text, over the canonical form."""
    exact: re.Pattern[str]
    """Over decoded text, with its boundaries."""


def _pattern(name: str, loose: str, exact: str, flags: int = 0) -> Pattern:
    return Pattern(name, re.compile(loose, flags), re.compile(exact, flags))


_SUSPICION = SchemaValidator(
    core_schema.str_schema(
        pattern=r"bearer|xox[a-z]-|gh[opusr]_|github_pat_|akia|asia|private.?key|sk-[a-z0-9_-]{20}"
        r"|passw|passp|pwd|secret|api[_-]?key|(?:access|auth)[_-]?token",
        regex_engine="rust-regex",
    )
)
"""Some of this is in the lower-cased canonical form of whatever holds a credential. Looked for by the
regular expressions of pydantic's core, which search for all the words at once: Python's own took ten
times as long (12 us against 1.1 us for an event of 850 bytes)."""


PATTERNS: tuple[Pattern, ...] = (
    _pattern(
        "bearer_token",
        r"bearer[^\"]{1,8}[A-Za-z0-9._~+/-]{20}",
        r"(?<![A-Za-z0-9_])bearer[ \t:]{1,4}(?=[A-Za-z._~+/-]{0,64}[0-9]|[A-Za-z]{22})[A-Za-z0-9._~+/-]{20,4096}={0,2}",
        re.IGNORECASE,
    ),
    _pattern(
        "slack_token",
        r"xox[a-z]-[A-Za-z0-9-]{10}",
        r"(?<![A-Za-z0-9])xox[a-z]-(?=[A-Za-z-]{0,64}[0-9]|[A-Za-z]{12})[A-Za-z0-9-]{10,255}",
    ),
    _pattern(
        "github_token",
        r"(?:gh[opusr]|github_pat)_[A-Za-z0-9_]{20}",
        r"(?<![A-Za-z0-9])(?:gh[opusr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255})(?![A-Za-z0-9_])",
    ),
    _pattern(
        "aws_access_key",
        r"A(?:KI|SI)A[A-Z0-9]{16}",
        r"(?<![A-Za-z0-9])A(?:KI|SI)A[A-Z0-9]{16}(?![A-Za-z0-9])",
    ),
    _pattern(
        "private_key",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY",
        r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----",
    ),
    _pattern(
        "secret_key",
        r"sk-[A-Za-z0-9_-]{20}",
        # A run of 16 letters and digits tells a key from words joined by hyphens.
        r"(?<![A-Za-z0-9])sk-(?=[A-Za-z0-9_-]{0,128}?[A-Za-z0-9]{16})[A-Za-z0-9_-]{20,512}",
    ),
    _pattern(
        "password_assignment",
        _NAMES + r"[^A-Za-z0-9]",
        # The name may end a longer one (DB_PASSWORD); a colon, which prose also uses, wants a digit.
        r"(?<![A-Za-z0-9])" + r"(?:[A-Za-z0-9]{1,32}[_-]){0,4}" + _NAMES + r"[\"']?"
        r"(?:\s{0,4}=\s{0,4}[\"']?" + _PLACEHOLDER + r"[^\s\"'&;,]{6,}"
        r"|\s{0,4}:\s{0,4}[\"']?" + _PLACEHOLDER + r"(?=[^\s\"'&;,]{0,64}[0-9])[^\s\"'&;,]{6,})",
        re.IGNORECASE,
    ),
)

_MEMBER_NAME = re.compile(r"(?:[A-Za-z0-9]{1,32}[_-]){0,4}" + _NAMES, re.IGNORECASE)
_MEMBER_VALUE = re.compile(_PLACEHOLDER + r"(?=[^\s]{0,64}[^A-Za-z\s_-])[^\s]{8,4096}", re.IGNORECASE)
"""What a member named like a password must hold to be one: a word without spaces, not only letters."""


class Found(NamedTuple):
    """A secret and where; never the secret."""

    path: str
    pattern: str

    def violation(self) -> Violation:
        """The refusal: where and what kind, never the value."""
        return Violation(
            self.path,
            "event.secret_found",
            f"This looks like a credential ({self.pattern}). The log never forgets: "
            "revoke it, leave it out and send a reference instead.",
            422,
        )


def suspicious(text: bytes) -> bool:
    """The first sieve: false proves that a canonical text holds no credential."""
    return _SUSPICION.isinstance_python(text.lower().decode())


def find_secret(value: Any, canonical: bytes | None = None, path: str = "") -> Found | None:
    """The first credential in ``value``, names of members included, or None.

    ``canonical`` is ``jcs(value)`` when the caller has it already; ``path`` is where ``value`` is.
    """
    text = jcs(value) if canonical is None else canonical
    if not suspicious(text):
        return None
    decoded = text.decode()
    suspects = [p for p in PATTERNS if p.loose.search(decoded)]
    if not suspects:
        return None
    for where, part in strings(value, path):
        for pattern in suspects:
            if pattern.exact.search(part):
                return Found(where, pattern.name)
    if any(p.name == "password_assignment" for p in suspects):
        return _named_secret(value, path)
    return None


def _named_secret(value: Any, path: str) -> Found | None:
    """A member that is named like a password and holds something like one."""
    stack: list[tuple[str, Any]] = [(path, value)]
    while stack:
        where, current = stack.pop()
        if isinstance(current, dict):
            for key, inner in current.items():
                inside = member(where, key)
                if isinstance(inner, str):
                    if _MEMBER_NAME.fullmatch(key) and _MEMBER_VALUE.fullmatch(inner):
                        return Found(inside, "password_assignment")
                else:
                    stack.append((inside, inner))
        elif isinstance(current, (list, tuple)):
            stack.extend((f"{where}[{index}]", inner) for index, inner in enumerate(current))
    return None
