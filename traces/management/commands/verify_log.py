"""``manage.py verify_log EXPORT``: is this log what was signed? Needs no server and no database."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.core.management import BaseCommand, CommandError

from traces.domain import archive, note


class Command(BaseCommand):
    """Reads the file once, with little memory, and names the first event that is not as it was signed."""

    help = "Check an exported log offline. Exit status 1 and the first bad log_seq if it is not what was signed."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """File, keys, checkpoints from outside."""
        parser.add_argument(
            "export", type=Path, nargs="+", help="the exported log; several files when the download was continued"
        )
        parser.add_argument(
            "--key",
            action="append",
            default=[],
            help="a verifier key you already have (name+id+key, or a file of them)",
        )
        parser.add_argument(
            "--checkpoint",
            action="append",
            default=[],
            type=Path,
            help="a file of checkpoints kept outside: only these show a log that was cut or written anew",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Say what was found."""
        trusted = [key for text in options["key"] for key in _keys(text)]
        kept = [each for path in options["checkpoint"] for each in note.notes_in(_text(path))]
        check = archive.Check(verified, trusted=trusted, kept=kept)
        try:
            for line in _lines(options["export"]):
                check.feed(line)
            found = check.close()
        except archive.Fault as fault:
            where = f"event {fault.first}" if fault.first == fault.last else f"one of {fault.first} to {fault.last}"
            raise CommandError(f"NOT AS SIGNED. First bad log_seq: {where}. {fault.detail}") from None
        said = f"Right: {found.size:,} events of {found.origin}, {found.checkpoints:,} checkpoints, root "
        said += f"{found.root.hex()}."
        if found.erased:
            said += f" {found.erased:,} bodies were erased; their events are proven by what remains."
        self.stdout.write(said)
        if kept:
            self.stdout.write(f"It agrees with {found.kept:,} checkpoints kept outside.")
        else:
            self.stdout.write(
                "Give --checkpoint with one kept outside to be sure that nothing was cut or written anew."
            )
        if not trusted:
            shown = "\n  ".join(key.text for key in found.keys)
            self.stdout.write(f"The keys are those inside the file. Give --key with the ones you know:\n  {shown}")


def verified(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the Ed25519 signature is right."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _lines(paths: list[Path]) -> Iterator[bytes]:
    """Whole lines; half a line at the end of a piece was fetched again by the piece behind it."""
    for number, path in enumerate(paths):
        if not path.is_file():
            raise CommandError(f"There is no file {path}.")
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n") and number + 1 < len(paths):
                    break
                yield line.removesuffix(b"\n")


def _keys(text: str) -> list[note.Key]:
    path = Path(text)
    lines = path.read_text().split() if "+" not in text and path.is_file() else [text]
    try:
        return [note.parse_key(line) for line in lines]
    except note.BadNote as error:
        raise CommandError(f"--key: {error}") from None


def _text(path: Path) -> str:
    if not path.is_file():
        raise CommandError(f"There is no file {path}.")
    return path.read_text()
