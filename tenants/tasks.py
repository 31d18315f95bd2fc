"""Background work of the doors."""

from __future__ import annotations

from celery import shared_task

from tenants import services


@shared_task(name="tenants.note_token_use")
def note_token_use(tenant_id: int, token_id: str) -> None:
    """Write down that a token was used."""
    services.note_token_use(tenant_id, token_id)


@shared_task(name="tenants.forget_attempts")
def forget_attempts() -> None:
    """Delete old counters of sign-in attempts, and sessions that are over."""
    services.forget_attempts()
    services.forget_sessions()
