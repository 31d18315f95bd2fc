"""Several items of the inbox at once: only what decides nothing."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.views.decorators.http import require_POST

from approvals import services
from approvals.console import words
from approvals.services.many import Outcome
from decisiongraph.core.console import toasted
from decisiongraph.core.errors import Problem, invalid
from decisiongraph.core.templatetags.dg.words import counted
from tenants.access import console_view


@console_view("read")
@require_POST
def many(request: Any, action: str) -> HttpResponse:
    """Comment on or reassign what was chosen, and say what became of it."""
    if action not in ("comment", "reassign"):
        raise Problem("page.not_found", 404, "There is no page at this address.")
    tenant, chosen = request.tenant, _chosen(request)
    common = {"principal": request.principal, "key": request.POST.get("key") or None}
    reason = str(request.POST.get("reason", ""))
    if action == "comment":
        found = services.comment_on_many(tenant, **common, item_ids=list(chosen), text=reason)
        done = f"The comment is in the history of {counted(_done(found), 'item')}."
    else:
        to = request.POST.get("to", "")
        found = services.reassign_many(tenant, **common, versions=chosen, to=to, reason=reason)
        verb = "is" if _done(found) == 1 else "are"
        whom = words.who(to, request.people) if to else "whoever may review"
        done = f"{counted(_done(found), 'item')} {verb} for {whom} now."
    refused = [each.refused for each in found if each.refused is not None]
    if refused:
        done += f" {counted(len(refused), 'other')} not: {refused[0].detail}"
    return toasted(request, done, f"{words.base(tenant)}/approvals", "warn" if refused else "ok")


def _done(found: list[Outcome]) -> int:
    return sum(each.refused is None for each in found)


def _chosen(request: Any) -> dict[str, int]:
    """The boxes that are checked: item and the version it was seen at."""
    found = {}
    for value in request.POST.getlist("item"):
        item_id, _, version = value.partition(":")
        if not (version.isascii() and version.isdigit() and len(version) < 10):
            raise invalid("item", "approval.version_missing", "Load the page again: it does not say its versions.")
        found[item_id] = int(version)
    return found
