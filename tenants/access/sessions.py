"""Where sessions live: in the database, under a digest of their key, with an age and an idle time.

A stolen copy of the table opens nothing, and a session that is too old or was left alone too long is
as if it had never been.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.core.exceptions import SuspiciousOperation

from decisiongraph.core import clock
from tenants.models import Session
from tenants.selectors import living_sessions, session_digest


class SessionStore(db.SessionStore):
    """Django's store of the database, over the rows of `Session`."""

    row: Session | None = None
    """The row this session was loaded from."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """The table."""
        return Session

    def _get_session_from_db(self) -> Session | None:
        try:
            self.row = living_sessions().get(pk=session_digest(self.session_key or ""))
        except (Session.DoesNotExist, SuspiciousOperation):
            self._session_key = None
            self.row = None
        return self.row

    def exists(self, session_key: str) -> bool:
        """Whether this session still opens anything."""
        return bool(session_key) and living_sessions().filter(pk=session_digest(session_key)).exists()

    def delete(self, session_key: str | None = None) -> None:
        """End it."""
        key = session_key or self.session_key
        if key:
            Session.objects.filter(pk=session_digest(key)).delete()

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        """The row to be saved."""
        user, now = data.get(SESSION_KEY), clock.now()
        return Session(
            session_key=session_digest(self._get_or_create_session_key()),  # type: ignore[attr-defined]
            session_data=self.encode(data),
            expire_date=self.get_expiry_date(),
            user_id=int(user) if user else None,
            created_at=now,
            last_seen_at=now,
        )
