"""What the projections' surroundings forget after payloads of the log were erased."""

from __future__ import annotations

from django.db.models import F, TextField, Value
from django.db.models.functions import Concat

from decisiongraph.core.db import tenant_tx
from projections.models import OpenText, RecordedDigest, SituationCursor, SituationRow
from tenants.models import Tenant

KINDS = ("canonical", "reference")


def forget_learned(tenant: Tenant) -> None:
    """Forget every situation and every open text; whoever learns reads the log again from its beginning."""
    with tenant_tx(tenant):
        list(SituationCursor.objects.select_for_update())
        SituationRow.objects.all().delete()
        OpenText.objects.all().delete()
        SituationCursor.objects.update(log_seq=0, texts_to=0, gathered_at=None)


def supersede_digests(tenant: Tenant, *, since: int, mark: str) -> int:
    """Digests published at ``since`` or later no longer follow from the log; how many are marked so.

    They keep their row under a kind of their own, so nothing compares with them and nobody is answered by them.
    """
    marked = Concat(F("kind"), Value(f" superseded {mark}"), output_field=TextField())
    with tenant_tx(tenant):
        return RecordedDigest.objects.filter(cursor__gte=since, kind__in=KINDS).update(kind=marked)
