"""Incidents: opened once per source, worked on by people, never rewritten."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from approvals.domain import incident as rules
from approvals.models import Incident, IncidentEntry, IncidentLink
from approvals.services import once, review, tell
from approvals.services.opening import NAMESPACE, bounded
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem, invalid, not_found
from decisiongraph.core.telemetry import metrics
from tenants.access import Principal
from tenants.models import Tenant
from tenants.services import record_audit
from traces import selectors as log


def open_by_itself(
    tenant: Tenant,
    book: review.Book,
    *,
    source_key: str,
    cause: str,
    severity: str,
    title: str,
    now: datetime,
    trace_id: str | None = None,
    event_id: str | None = None,
    item_id: uuid.UUID | None = None,
    entity: dict[str, Any] | None = None,
    links: Sequence[tuple[str, str]] = (),
    detail: dict[str, Any] | None = None,
) -> Incident | None:
    """Open the incident of a source in the caller's transaction; None when it was opened before."""
    incident = Incident(
        id=uuid.uuid5(NAMESPACE, f"{tenant.pk}:incident:{source_key}"),
        tenant_id=tenant.pk,
        source_key=source_key,
        cause=cause,
        title=title,
        severity=severity,
        trace_id=trace_id,
        event_id=event_id,
        item_id=item_id,
        opened_by=book.principal.ident,
        changed_by=book.principal.ident,
        opened_at=now,
        changed_at=now,
    )
    Incident.objects.bulk_create([incident], ignore_conflicts=True)
    if not Incident.objects.filter(pk=incident.pk, version=1, opened_at=now).exists():
        return None
    if IncidentEntry.objects.filter(incident_id=incident.pk).exists():
        return None
    _opened(tenant, incident, book, entity=entity, links=links, detail=detail or {}, text=title)
    return incident


def _opened(
    tenant: Tenant,
    incident: Incident,
    book: review.Book,
    *,
    entity: dict[str, Any] | None,
    links: Sequence[tuple[str, str]],
    detail: dict[str, Any],
    text: str,
) -> None:
    _entry(tenant, incident, book.principal, "opened", text, detail)
    found = list(links)
    if incident.trace_id is not None:
        found.insert(0, ("trace", incident.trace_id))
    if incident.item_id is not None:
        found.insert(0, ("approval", str(incident.item_id)))
    for kind, ident in dict.fromkeys(found):
        IncidentLink.objects.create(tenant_id=tenant.pk, incident_id=incident.pk, kind=kind, ident=ident)
    review.open_incident(book, incident, entity=entity or {"entity_type": "incident", "entity_id": str(incident.pk)})
    tell.about_incident(tenant, incident, "incident.opened", actor=book.principal.ident)
    metrics.incidents.labels(incident.cause if incident.source_key.partition(":")[0] != "person" else "person").inc()


def _entry(tenant: Tenant, incident: Incident, principal: Principal, kind: str, text: str, detail: Any = None) -> None:
    IncidentEntry.objects.create(
        tenant_id=tenant.pk,
        incident_id=incident.pk,
        kind=kind,
        by=principal.ident,
        by_label=principal.label,
        text=text,
        detail=detail or {},
    )


def open_incident(
    tenant: Tenant,
    *,
    principal: Principal,
    title: str,
    severity: str,
    text: str = "",
    trace_id: str | None = None,
    links: Sequence[tuple[str, str]] = (),
    key: str | None = None,
) -> Incident:
    """Open an incident by hand. 404 when it names a trace that does not exist."""
    _may_work(principal)
    content = {
        "title": title,
        "severity": severity,
        "text": text,
        "trace_id": trace_id,
        "links": [list(x) for x in links],
    }
    if not title.strip():
        raise invalid("title", "incident.title_missing", "Say in one line what happened.", status=422)
    if severity not in rules.SEVERITIES:
        known = ", ".join(rules.SEVERITIES)
        raise invalid("severity", "incident.unknown_severity", f"Choose one of: {known}.", status=422)
    with tenant_tx(tenant):
        known_id = once.recall(tenant, principal, key, "incident", content)
        if known_id is not None:
            return Incident.objects.get(pk=known_id)
        entity = None
        if trace_id is not None:
            begun = log.read_trace(tenant, trace_id, limit=1)
            if not begun:
                raise not_found("trace", trace_id)
            entity = (begun[0].payload or {}).get("primary_entity")
        ident = uuid.uuid4()
        now = clock.now()
        incident = Incident(
            id=ident,
            tenant_id=tenant.pk,
            source_key=f"person:{ident}",
            cause="person.reported",
            title=title.strip()[:500],
            severity=severity,
            trace_id=trace_id,
            opened_by=principal.ident,
            changed_by=principal.ident,
            opened_at=now,
            changed_at=now,
        )
        incident.save(force_insert=True)
        book = review.Book(tenant, principal)
        _opened(tenant, incident, book, entity=entity, links=links, detail={}, text=text.strip() or title.strip())
        record_audit(
            tenant,
            principal=principal,
            action="incident.opened",
            target=f"incident:{ident}",
            reason=title.strip(),
            after={"severity": severity, "trace_id": trace_id},
        )
        once.remember(tenant, principal, key, "incident", content, str(ident))
        book.write()
    return incident


def act_on_incident(
    tenant: Tenant,
    *,
    principal: Principal,
    incident_id: str,
    action: str,
    version: int | None = None,
    text: str = "",
    assignee: str = "",
    assignee_label: str = "",
    severity: str = "",
    link: tuple[str, str] | None = None,
    key: str | None = None,
) -> Incident:
    """Acknowledge, assign, mitigate, resolve, reopen, rate, link or comment, in one transaction.

    Raises 404, 412 with the current version, 409 with the allowed actions, 422 for what is missing.
    Comments and links go without a version: they contradict nobody.
    """
    _may_work(principal)
    content = {
        "incident_id": incident_id, "action": action, "version": version, "text": text, "assignee": assignee,
        "severity": severity, "link": list(link) if link else None,
    }  # fmt: skip
    rule = rules.TABLE[action]
    if rule.text and not text.strip():
        raise invalid("text", "incident.text_missing", "Say it in words: the next reader has only these.", status=422)
    with tenant_tx(tenant):
        incident = _get(incident_id)
        if once.recall(tenant, principal, key, "incident.act", content) is not None:
            return incident
        if version is None and rule.versioned:
            raise invalid("version", "incident.version_missing", "Send the version you saw.", status=422)
        if version is not None and version != incident.version:
            raise _stale(incident, version)
        if incident.status not in rule.sources:
            raise Problem(
                "incident.transition_illegal",
                409,
                f"This incident is {incident.status}; '{action}' is not possible now.",
                extra={"allowed": list(rules.allowed(incident.status)), "state": incident.status},
            )
        book = review.Book(tenant, principal)
        before = {"status": incident.status, "severity": incident.severity, "assignee": incident.assignee}
        _change(tenant, incident, book, action, text.strip(), assignee, assignee_label, severity, link)
        now = clock.now()
        if rule.versioned:
            incident.version += 1
            incident.changed_at, incident.changed_by, incident.changed_how = now, principal.ident, action
            incident.save()
        detail = {"before": before["status"], "after": incident.status}
        if action == "assign":
            detail = {"assignee": incident.assignee}
        elif action == "rate":
            detail = {"before": before["severity"], "after": incident.severity}
        elif link is not None:
            detail = {"kind": link[0], "ident": link[1]}
        _entry(tenant, incident, principal, action, text.strip(), detail)
        record_audit(
            tenant,
            principal=principal,
            action=f"incident.{rule.past}",
            target=f"incident:{incident.pk}",
            reason=text.strip(),
            before=before,
            after={"status": incident.status, "severity": incident.severity, "assignee": incident.assignee},
        )
        tell.about_incident(tenant, incident, "incident.updated", actor=principal.ident, action=action)
        once.remember(tenant, principal, key, "incident.act", content, str(incident.pk))
        book.write()
    return incident


def _change(
    tenant: Tenant,
    incident: Incident,
    book: review.Book,
    action: str,
    text: str,
    assignee: str,
    assignee_label: str,
    severity: str,
    link: tuple[str, str] | None,
) -> None:
    rule = rules.TABLE[action]
    now = clock.now()
    if rule.target is not None:
        incident.status = rule.target
    if action == "acknowledge":
        incident.acknowledged_at = now
    elif action == "mitigate":
        incident.mitigated_at = now
    elif action == "assign":
        incident.assignee, incident.assignee_label = bounded(assignee, 300), assignee_label[:300] or assignee[:300]
    elif action == "rate":
        if severity not in rules.SEVERITIES:
            known = ", ".join(rules.SEVERITIES)
            raise invalid("severity", "incident.unknown_severity", f"Choose one of: {known}.", status=422)
        incident.severity = severity
    elif action == "resolve":
        incident.resolved_at, incident.resolution = now, text
        review.close_incident(book, incident)
    elif action == "reopen":
        incident.resolved_at, incident.resolution = None, ""
        incident.reopened += 1
        incident.trace_serial += 1
        review.open_incident(book, incident, entity={"entity_type": "incident", "entity_id": str(incident.pk)})
    elif action == "link":
        if link is None or link[0] not in rules.LINKS:
            known = ", ".join(rules.LINKS)
            raise invalid("kind", "incident.link_invalid", f"Link one of: {known}.", status=422)
        IncidentLink.objects.bulk_create(
            [IncidentLink(tenant_id=tenant.pk, incident_id=incident.pk, kind=link[0], ident=bounded(link[1]))],
            ignore_conflicts=True,
        )


def _get(incident_id: str) -> Incident:
    try:
        ident = uuid.UUID(incident_id)
    except ValueError:
        raise not_found("incident", incident_id) from None
    found = Incident.objects.select_for_update().filter(pk=ident).first()
    if found is None:
        raise not_found("incident", incident_id)
    return found


def _faster(incident: Incident, version: int) -> str:
    if version > incident.version:
        return f"There is no version {version} of it yet."
    did = rules.TABLE[incident.changed_how].past if incident.changed_how in rules.TABLE else "opened"
    return f"Somebody was faster: {incident.changed_by.removeprefix('user:') or 'the platform'} {did} it."


def _stale(incident: Incident, version: int) -> Problem:
    return Problem(
        "incident.version_conflict",
        412,
        f"{_faster(incident, version)} It is {incident.status} now, version {incident.version}. Look at it again.",
        extra={
            "version": incident.version,
            "state": incident.status,
            "changed_by": incident.changed_by,
            "changed_how": incident.changed_how,
        },
    )


def _may_work(principal: Principal) -> None:
    if not any(principal.may(name) for name in ("operate", "review", "admin")):
        principal.require("operate")
