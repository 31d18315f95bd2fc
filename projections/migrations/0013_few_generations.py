"""A tenant has one generation of a projection, or two: whatever numbers the tenants of a table have reached.

The planner would divide by the number of different ones, think that a tenant's rows are fewer than one,
and then take any index that begins with tenant and generation for as good as the one that finds the row.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

TABLES = (
    "projections_tracesummary",
    "projections_graphnode",
    "projections_graphedge",
    "projections_policyevaluation",
    "projections_precedentrow",
    "projections_precedenttext",
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("projections", "0012_measures")]

    operations: ClassVar = [
        migrations.RunSQL(
            f"ALTER TABLE {table} ALTER COLUMN generation SET (n_distinct = 2)",
            f"ALTER TABLE {table} ALTER COLUMN generation RESET (n_distinct)",
        )
        for table in TABLES
    ]
