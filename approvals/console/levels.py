"""Settings of the service levels: list, form, and trying one on the past."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST
from pydantic import ValidationError

from approvals import selectors, services
from approvals.console import words
from approvals.domain import sla
from approvals.domain.spans import read_span, write_span
from approvals.models import SlaPolicy
from approvals.services.opening import PRIORITIES
from decisiongraph.core.api import Query, query_params
from decisiongraph.core.console import moved, page
from decisiongraph.core.errors import not_found
from decisiongraph.core.templatetags.dg.words import counted, duration, number
from tenants.access import console_view
from tenants.console import SECTIONS

LEVELS = 3
"""Escalations the form has room for; a policy may have ten by API."""
SPANS = ("deadline", "reminder", "risk", "expiry", "ticket")
TEXTS = (
    "name", "subject_type", "workflow", "policy_id", "priority", "fact", "quorum", "reviewers", "calendar", "clock",
    *SPANS, *(f"{part}_{at}" for at in range(1, LEVELS + 1) for part in ("after", "to")),
)  # fmt: skip


@console_view("read")
@require_GET
def levels(request: Any) -> HttpResponse:
    """Every service level, and what holds where none applies."""
    query_params(request, Query)
    rows = [_line(request, row) for row in selectors.policies.policies(request.tenant)[:500]]
    standard = {"name": selectors.policies.STANDARD_NAME, "said": _said(sla.STANDARD), "applies": "everything else"}
    return _page(request, "approvals/levels.html", rows=rows, standard=standard)


def _page(request: Any, template: str, status: int = 200, **context: Any) -> HttpResponse:
    base = f"{words.base(request.tenant)}/settings"
    crumbs = [{"label": "Settings", "url": base}, {"label": "Service levels", "url": f"{base}/sla"}]
    if "title" in context:
        crumbs.append({"label": context["title"], "url": ""})
    tabs = [(key, label, f"{base}/{key}") for key, label in SECTIONS]
    values = page(request, "settings", crumbs=crumbs, tabs=tabs, **context | {"part": "sla"})
    return render(request, template, values, status=status)


def _url(request: Any, ident: Any) -> str:
    return f"{words.base(request.tenant)}/settings/sla/{ident}"


def _line(request: Any, row: SlaPolicy) -> dict[str, Any]:
    return {
        "row": row,
        "url": _url(request, row.pk),
        "applies": _applies(row.applies),
        "said": _said(sla.Policy.model_validate(row.definition)),
        "state": "active" if row.active else "paused",
        "by": words.who(row.updated_by),
    }


def _applies(match: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in match.items()) or "everything"


def _said(policy: sla.Policy) -> str:
    """A policy in one sentence."""
    found = [f"fact {policy.deadline.fact}" if policy.deadline.fact else f"{write_span(policy.deadline.seconds or 0)}"]
    found[0] = f"deadline {found[0]}" + (" of working time" if policy.calendar else "")
    if policy.escalations:
        found.append(counted(len(policy.escalations), "escalation"))
    if policy.expiry:
        found.append(f"expires {write_span(policy.expiry.seconds)} after the {policy.expiry.of}")
    if policy.quorum > 1:
        found.append(f"{policy.quorum} approvals")
    return ", ".join(found)


# --- the form -------------------------------------------------------------------------------------------


@console_view("read")
@require_GET
def level(request: Any, policy_id: str) -> HttpResponse:
    """One service level, to be read, changed and tried; ``new`` is an empty form."""
    query_params(request, Query)
    if policy_id == "new":
        return _form(request, None, _filled("", sla.Match(), sla.STANDARD, True), {})
    row = _stored(request, policy_id)
    match, policy = sla.Match.model_validate(row.applies), sla.Policy.model_validate(row.definition)
    return _form(request, row, _filled(row.name, match, policy, row.active), {})


def _stored(request: Any, policy_id: str) -> SlaPolicy:
    try:
        found = selectors.policies.policy(request.tenant, str(uuid.UUID(policy_id)))
    except ValueError:
        found = None
    if found is None:
        raise not_found("sla_policy", policy_id)
    return found


def _form(
    request: Any, row: SlaPolicy | None, form: dict[str, Any], errors: dict[str, str], status: int = 200
) -> HttpResponse:
    context = {
        "row": row,
        "form": form,
        "errors": errors,
        "rungs": [
            (at, form[f"after_{at}"], form[f"to_{at}"], form.get(f"of_{at}", "deadline")) for at in range(1, LEVELS + 1)
        ],
        "desks": words.desks(request.tenant),
        "priorities": PRIORITIES,
        "save_url": _url(request, row.pk if row else "new") + "/save",
        "try_url": f"{words.base(request.tenant)}/settings/sla/try",
    }
    if request.headers.get("HX-Request") and status == 422:
        return render(request, "approvals/level.html#form", context, status=422)
    title = row.name if row else "New service level"
    return _page(request, "approvals/level.html", status, title=title, **context)


def _filled(name: str, match: sla.Match, policy: sla.Policy, active: bool) -> dict[str, Any]:
    """The fields of the form for a policy."""
    form: dict[str, Any] = dict.fromkeys(TEXTS, "")
    form |= {key: value or "" for key, value in match.model_dump().items()}
    form |= {"name": name, "quorum": str(policy.quorum), "reviewers": "\n".join(policy.reviewers), "active": active}
    form |= {"ticket": write_span(policy.ticket_seconds), "incident": policy.incident_on_breach}
    form |= {"fact": policy.deadline.fact or ""}
    form["deadline"] = write_span(policy.deadline.seconds) if policy.deadline.seconds else ""
    for key, of in (("reminder", "start"), ("risk", "deadline"), ("expiry", "start")):
        moment: sla.Moment | None = getattr(policy, key)
        form[f"{key}_of"] = moment.of if moment else of
        form[key] = write_span(moment.seconds) if moment else ""
    for at, rung in enumerate(policy.escalations[:LEVELS], 1):
        form |= {f"after_{at}": write_span(rung.seconds), f"to_{at}": rung.to, f"of_{at}": rung.of}
    form["more_rungs"] = json.dumps([rung.model_dump(mode="json") for rung in policy.escalations[LEVELS:]])
    if policy.calendar:
        form["calendar"] = json.dumps(policy.calendar.model_dump(mode="json"), indent=1)
    if policy.clock != sla.Clock():
        form["clock"] = json.dumps(policy.clock.model_dump(mode="json", exclude_defaults=True), indent=1)
    return form


def _said_in(request: Any) -> dict[str, Any]:
    """The form as it was sent."""
    sent = request.POST
    form: dict[str, Any] = {name: sent.get(name, "").strip() for name in TEXTS}
    form |= {f"{key}_of": sent.get(f"{key}_of", "") or of for key, of in
             (("reminder", "start"), ("risk", "deadline"), ("expiry", "start"))}  # fmt: skip
    form |= {f"of_{at}": sent.get(f"of_{at}", "") or "deadline" for at in range(1, LEVELS + 1)}
    form |= {"active": sent.get("active") == "yes", "incident": sent.get("incident") == "yes"}
    return form | {"more_rungs": sent.get("more_rungs", "") or "[]"}


def _read(form: dict[str, Any]) -> tuple[sla.Policy | None, sla.Match | None, dict[str, str]]:
    """What the form means, or what is wrong with it by field."""
    errors: dict[str, str] = {}
    spans: dict[str, int] = {}
    for name in (*SPANS, *(f"after_{at}" for at in range(1, LEVELS + 1))):
        if form[name]:
            found = read_span(form[name])
            if found is None:
                errors[name] = "Write it like 4 h, 30 min or 1 d 12 h."
            else:
                spans[name] = found
    raw: dict[str, Any] = {"incident_on_breach": form["incident"], "quorum": form["quorum"] or 1}
    raw["deadline"] = {"fact": form["fact"]} if form["fact"] else {"seconds": spans.get("deadline")}
    if form["fact"] and form["deadline"]:
        errors["fact"] = "Give either a time or the key of a fact."
    for key in ("reminder", "risk", "expiry"):
        if key in spans:
            raw[key] = {"of": form[f"{key}_of"], "seconds": spans[key]}
    raw["escalations"] = [
        {"of": form[f"of_{at}"], "seconds": spans[f"after_{at}"], "to": form[f"to_{at}"] or "role:admin"}
        for at in range(1, LEVELS + 1)
        if f"after_{at}" in spans
    ]
    if "ticket" in spans:
        raw["ticket_seconds"] = spans["ticket"]
    raw["reviewers"] = form["reviewers"].split()
    for name in ("calendar", "clock", "more_rungs"):
        if form[name]:
            _json(form, name, raw, errors)
    if errors:
        return None, None, errors
    raw["escalations"] += raw.pop("more_rungs", None) or []
    match = {name: form[name] or None for name in ("subject_type", "workflow", "policy_id", "priority")}
    return _checked(raw, match)


def _json(form: dict[str, Any], name: str, raw: dict[str, Any], errors: dict[str, str]) -> None:
    try:
        raw[name] = json.loads(form[name])
    except ValueError as wrong:
        errors[name] = f"This is not JSON: {wrong}."


FIELDS = {"ticket_seconds": "ticket", "incident_on_breach": "incident", "escalations": "after_1"}
"""Key of a policy -> field of the form, where they differ."""


def _checked(raw: dict[str, Any], match: dict[str, Any]) -> tuple[sla.Policy | None, sla.Match | None, dict[str, str]]:
    try:
        return sla.Policy.model_validate(raw), sla.Match.model_validate(match), {}
    except ValidationError as wrong:
        found = {}
        for each in wrong.errors():
            first = str(each["loc"][0]) if each["loc"] else "quorum"
            path = ".".join(str(step) for step in each["loc"][1:])
            said = each["msg"].removeprefix("Value error, ")
            found[FIELDS.get(first, first)] = f"{path}: {said}" if path else f"{said[:1].upper()}{said[1:]}."
        return None, None, found


@console_view("admin")
@require_POST
def save(request: Any, policy_id: str) -> HttpResponse:
    """Make it or change it. Items that are open keep what they were opened with."""
    row = None if policy_id == "new" else _stored(request, policy_id)
    form = _said_in(request)
    policy, match, errors = _read(form)
    if not form["name"]:
        errors["name"] = "Give it a name."
    if errors or policy is None or match is None:
        return _form(request, row, form, errors, 422)
    common = {"principal": request.principal, "name": form["name"], "definition": policy, "applies": match}
    if row is None:
        made = services.create_policy(request.tenant, **common, active=form["active"])
    else:
        sent = request.POST.get("version", "")
        version = int(sent) if sent.isdigit() and len(sent) < 10 else 0
        made = services.change_policy(
            request.tenant, **common, policy_id=str(row.pk), version=version, active=form["active"]
        )
    said = "It holds for items that open from now on." if form["active"] else "Saved. It is not active."
    return moved(request, _url(request, made.pk), said)


@console_view("admin")
@require_POST
def delete(request: Any, policy_id: str) -> HttpResponse:
    """Forget it. Items that were opened with it keep their copy."""
    row = services.delete_policy(request.tenant, principal=request.principal, policy_id=policy_id)
    return moved(request, f"{words.base(request.tenant)}/settings/sla", f"{row.name} is forgotten. Open items keep it.")


# --- trying it --------------------------------------------------------------------------------------------


@console_view("read")
@require_POST
def attempt(request: Any) -> HttpResponse:
    """What the form would have meant in the past. Changes nothing."""
    form = _said_in(request)
    policy, match, errors = _read(form)
    over = request.POST.get("over", "items")
    since, until = _day(request, "since", errors), _day(request, "until", errors)
    if over not in ("items", "traces"):
        errors["over"] = "Choose items or traces."
    if errors or policy is None or match is None:
        return render(request, "approvals/level.html#trial", {"faults": sorted(errors.items())}, status=422)
    workflow = request.POST.get("try_workflow", "").strip() or match.workflow or ""
    found = selectors.trial.try_policy(
        request.tenant, policy, over=over, since=since, until=until, workflow=workflow, applies=match
    )
    return render(request, "approvals/level.html#trial", {"trial": _trial(request, found)})


def _day(request: Any, name: str, errors: dict[str, str]) -> datetime | None:
    text = request.POST.get(name, "").strip()
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        errors[name] = "Give a date."
        return None


def _trial(request: Any, found: selectors.trial.Trial) -> dict[str, Any]:
    counts = found.counts
    late, timely = counts.get("late", 0), counts.get("in_time", 0)
    ended = late + timely
    figures = [
        ("Late", late, "overdue"),
        ("In time", timely, "fresh"),
        ("Open", counts.get("open", 0), "waiting"),
        ("Without a deadline", counts.get("without_deadline", 0), "idle"),
    ]
    kind = "item" if found.over == "items" else "trace"
    return {
        "over": kind,
        "title": f"{number(late)} of {counted(ended, 'decided ' + kind)} would have been late"
        if ended
        else f"No {kind} in this range was decided",
        "cases": found.cases,
        "figures": [
            {"label": label, "value": number(count), "state": state, "share": _share(count, found.cases)}
            for label, count, state in figures
        ],
        "open_overdue": found.overdue_open,
        "fired": [(name, found.fired.get(name, 0)) for name in sla.TIMER_KINDS],
        "worst": list(_worst(request, found.worst, kind)),
    }


def _share(count: int, whole: int) -> int:
    return round(100 * count / whole) if whole else 0


def _worst(request: Any, found: Iterable[sla.Judged], kind: str) -> Iterable[dict[str, Any]]:
    for case in found:
        url = words.item_url if kind == "item" else words.trace_url
        yield {
            "id": case.key,
            "url": url(request.tenant, case.key),
            "state": "overdue" if case.standing == "open" else "rejected",
            "word": "still open" if case.standing == "open" else "late",
            "deadline": case.deadline,
            "stopped": case.stop,
            "over": duration(float(int(case.over_seconds))),
        }
