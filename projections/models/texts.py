"""What open traces say, for searching: beside the projections, in no digest, made again at will."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models

from decisiongraph.core.db import TenantModel


class OpenText(TenantModel):
    """Reasons, explanations, violations and facts of a trace that is not finished yet.

    A finished one has its `PrecedentText`. Written by whoever learns, seconds after the event and not
    with it: every event would write all words of its trace anew.
    """

    id = models.BigAutoField(primary_key=True)
    trace_sha = models.BinaryField()
    words = SearchVectorField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "trace_sha"], name="projections_opentext_key"),
        ]
        indexes: ClassVar = [GinIndex(fields=["tenant", "words"], name="projections_opentext_words")]

    def __str__(self) -> str:
        return bytes(self.trace_sha).hex()
