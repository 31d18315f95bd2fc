"""When people were where, so that a page can say what is new since."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from decisiongraph.core import clock
from decisiongraph.core.db import TenantModel


class Visit(TenantModel):
    """The visits of one person to one page: the one that goes on, and when the one before ended."""

    id = models.BigAutoField(primary_key=True)
    user_id = models.IntegerField()
    page = models.TextField()
    """``approvals`` or ``approval:<id>``, as in presence."""
    at = models.DateTimeField(default=clock.now)
    """When the page was last read."""
    before = models.DateTimeField(null=True)
    """When it was last read in the visit before; None while there was none."""

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "user_id", "page"], name="approvals_visit_key")
        ]

    def __str__(self) -> str:
        return f"{self.page} at {self.at}"
