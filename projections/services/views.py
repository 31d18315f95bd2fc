"""Saved views of the trace list, and the columns a person chose."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem, invalid, not_found
from projections import selectors
from projections.domain import columns as choices
from projections.domain import query as language
from projections.models import ColumnChoice, SavedView
from tenants.access import Principal
from tenants.models import Tenant
from tenants.services import record_audit

MOST_VIEWS = 100
"""Of one person, and shared ones of a tenant."""
LONGEST_NAME = 80


def save_view(
    tenant: Tenant,
    *,
    principal: Principal,
    name: str,
    query: str,
    sort: str = "-last",
    columns: Sequence[str] = (),
    shared: bool = False,
) -> SavedView:
    """Keep a search under a name, and the columns it is read in. A shared one needs ``operate`` and is audited.

    Raises 400 ``query.malformed``, 409 ``view.exists`` or ``view.limit_reached``, 422
    ``view.name_invalid``, ``view.sort_unknown`` or ``view.columns_unknown``.
    """
    principal.require("operate" if shared else "read")
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or "\x00" in name:
        raise invalid("name", "view.name_invalid", f"Give a name of 1 to {LONGEST_NAME} characters.", status=422)
    if sort not in selectors.SORTS:
        known = ", ".join(selectors.SORTS)
        raise invalid("sort", "view.sort_unknown", f"Choose one of: {known}.", status=422)
    shown = _checked(columns) if columns else []
    text = language.text_of(selectors.checked(query))
    with tenant_tx(tenant):
        same = SavedView.objects.filter(shared=True) if shared else _own(principal)
        if same.count() >= MOST_VIEWS:
            raise Problem("view.limit_reached", 409, f"There are {MOST_VIEWS} views already. Delete one first.")
        made = SavedView(
            tenant_id=tenant.pk,
            name=name,
            owner=principal.ident,
            shared=shared,
            query=text,
            sort=sort,
            columns=shown,
        )
        try:
            with transaction.atomic():
                made.save(force_insert=True)
        except IntegrityError:
            raise Problem(
                "view.exists", 409, f"There is a view named {name!r} already. Choose another name, or delete it first."
            ) from None
        if shared:
            record_audit(tenant, principal=principal, action="view.shared", target=f"view:{made.pk}", after=_said(made))
    return made


def delete_view(tenant: Tenant, *, principal: Principal, ident: int) -> SavedView:
    """Forget a view: one's own, or with ``operate`` a shared one; what it was. 404 for another person's own."""
    principal.require("read")
    with tenant_tx(tenant):
        found = SavedView.objects.select_for_update().filter(pk=ident).first()
        if found is None or not (found.shared or found.owner == principal.ident):
            raise not_found("view", str(ident))
        if found.shared:
            principal.require("operate")
            record_audit(
                tenant, principal=principal, action="view.deleted", target=f"view:{found.pk}", before=_said(found)
            )
        SavedView.objects.filter(pk=ident).delete()
    return found


def choose_columns(tenant: Tenant, *, principal: Principal, columns: Sequence[str] | None) -> list[str]:
    """Remember which columns of the trace list a person wants; None forgets it. What is shown now.

    Raises 422 ``view.columns_unknown``.
    """
    principal.require("read")
    if columns is None:
        with tenant_tx(tenant):
            ColumnChoice.objects.filter(owner=principal.ident).delete()
        return list(choices.DEFAULT)
    shown = _checked(columns)
    with tenant_tx(tenant):
        ColumnChoice.objects.update_or_create(
            owner=principal.ident,
            defaults={"columns": shown},
            create_defaults={"tenant_id": tenant.pk, "columns": shown},
        )
    return shown


def _checked(columns: Sequence[str]) -> list[str]:
    try:
        return list(choices.chosen(columns))
    except ValueError as error:
        detail = str(error)
    raise invalid("columns", "view.columns_unknown", detail[0].upper() + detail[1:] + ".", status=422)


def _own(principal: Principal) -> QuerySet[SavedView]:
    return SavedView.objects.filter(shared=False, owner=principal.ident)


def _said(view: SavedView) -> dict[str, str]:
    return {"name": view.name, "query": view.query, "sort": view.sort}
