"""Whom an undecided item names, and to whom it was sent back, so that "mine" reads nobody else's items."""

import django.contrib.postgres.indexes
from django.db import migrations, models

from decisiongraph.core.db import definer_function

NAMING = """
SELECT i.id FROM approvals_item i
WHERE i.tenant_id = tenant AND i.reviewers && ARRAY[person] AND NOT (i.reviewers = '{}'::text[])
    AND i.status IN ('requested', 'in_review', 'changes_requested', 'escalated')
"""
"""Ids only. Arrays are compared here and not by the caller: under row-level security the index would lie idle."""


class Migration(migrations.Migration):

    dependencies = [
        ("approvals", "0008_damaged_logs"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="item",
            index=models.Index(
                condition=models.Q(("status", "changes_requested")),
                fields=["tenant", "opened_by", "sort_at", "id"],
                name="approvals_item_back",
            ),
        ),
        migrations.AddIndex(
            model_name="item",
            index=django.contrib.postgres.indexes.GinIndex(
                condition=models.Q(
                    ("status__in", ("requested", "in_review", "changes_requested", "escalated")),
                    models.Q(("reviewers", []), _negated=True),
                ),
                fastupdate=False,
                fields=["reviewers"],
                name="approvals_item_named",
            ),
        ),
        definer_function(
            "dg_items_naming(tenant integer, person text)",
            returns="TABLE (item_id uuid)",
            body=NAMING,
            reads=("approvals_item",),
        ),
    ]
