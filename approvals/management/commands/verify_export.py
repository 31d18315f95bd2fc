"""``manage.py verify_export FILE``: is this export what was signed? Needs no server and no database."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.core.management import BaseCommand, CommandError

from approvals.domain import bundle, seal


class Command(BaseCommand):
    """Checks the seal, names the first wrong byte, then checks every hash inside."""

    help = "Check an exported bundle (JSON or HTML) offline. Exit status 1 and the first wrong byte if it was changed."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """File and key."""
        parser.add_argument("file", type=Path, help="the exported file")
        parser.add_argument(
            "--key", default="", help="the tenant's public key (64 hex digits, or a file that holds them)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Say what was found."""
        path: Path = options["file"]
        if not path.is_file():
            raise CommandError(f"There is no file {path}.")
        raw = path.read_bytes()
        trusted = _key(options["key"])
        found = seal.inspect(raw, _verify, trusted=trusted)
        if isinstance(found, seal.Fault):
            raise CommandError(f"NOT AS SIGNED. {_place(found, raw)} {found.detail}")
        try:
            content = bundle.content_of(found.kind, found.body)
            wrong = bundle.problems(content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CommandError(f"The seal is right, but this is no bundle: {error}") from None
        if wrong:
            raise CommandError("The seal is right, but the hashes inside are not:\n  " + "\n  ".join(wrong[:20]))
        events = sum(1 for _ in bundle.events_of(content))
        said = f"Right: {content['subject']} of {content['tenant']['slug']}, exported {content['exported_at']}, "
        said += f"{events} events, all hashes right, signed by key {found.key_id}."
        self.stdout.write(said)
        if trusted is None:
            hint = "The key is the one inside the file. Give --key with the one you know to be sure who signed: "
            self.stdout.write(hint + found.public_key.hex())


def _key(text: str) -> bytes | None:
    if not text:
        return None
    path = Path(text)
    held = path.read_text().strip() if len(text) != 64 and path.is_file() else text
    try:
        key = bytes.fromhex(held)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise CommandError("--key takes 64 hex digits, or a file that holds them.")
    return key


def _verify(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _place(fault: seal.Fault, raw: bytes) -> str:
    if not fault.exact:
        return f"The first wrong byte is one of {fault.first} to {fault.last}."
    line = raw.count(b"\n", 0, fault.first) + 1
    column = fault.first - (raw.rfind(b"\n", 0, fault.first) + 1) + 1
    return f"First wrong byte: {fault.first} (line {line}, column {column})."
