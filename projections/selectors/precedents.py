"""Precedents and policy evaluations: what was decided before."""

from __future__ import annotations

from typing import Any

from projections.domain.precedents import PrecedentFilter
from projections.models import PolicyEvaluation, PrecedentRow, pair_sha, text_sha
from projections.selectors.freshness import Reading, reading
from tenants.models import Tenant


def precedents(
    tenant: Tenant,
    wanted: PrecedentFilter,
    *,
    before: int | None = None,
    limit: int = 100,
    min_log_seq: int | None = None,
    wait_ms: int = 0,
) -> tuple[Reading, list[PrecedentRow]]:
    """Precedents that match, the latest first, up to ``limit + 1``, below a ``source_log_seq``."""
    with reading(tenant, "precedent_index", min_log_seq=min_log_seq, wait_ms=wait_ms) as seen:
        found = PrecedentRow.objects.of(seen.generation).filter(**wanted.conditions())
        if wanted.entity_type is not None and wanted.entity_id is not None:
            found = found.filter(entity_sha=pair_sha(wanted.entity_type, wanted.entity_id))
        if before is not None:
            found = found.filter(source_log_seq__lt=before)
        return seen, list(found.order_by("-source_log_seq")[: limit + 1])


def precedent_json(row: PrecedentRow) -> dict[str, Any]:
    """A precedent as the API shows it."""
    return {
        "trace_id": row.trace_id,
        "source_event_id": row.source_event_id,
        "source_event_type": row.source_event_type,
        "source_log_seq": row.source_log_seq,
        "policy_id": row.policy_id,
        "policy_version": row.policy_version,
        "decision": row.decision,
        "exception_id": row.exception_id,
        "primary_entity": {
            "entity_type": row.primary_entity_type,
            "system": row.primary_entity_system,
            "entity_id": row.primary_entity_id,
        }
        if row.primary_entity_type is not None
        else None,
        "workflow": row.workflow,
        "outcome": row.outcome,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
    }


def policy_evaluations(tenant: Tenant, trace_id: str) -> list[PolicyEvaluation]:
    """What policies said in one trace, in trace order."""
    with reading(tenant, "policy_evaluations") as seen:
        return list(
            PolicyEvaluation.objects.of(seen.generation).filter(trace_sha=text_sha(trace_id)).order_by("trace_seq")
        )
