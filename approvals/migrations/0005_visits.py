"""When people were last on which page."""

import django.db.models.deletion
from django.db import migrations, models

import decisiongraph.core.clock
from decisiongraph.core.db import protect


class Migration(migrations.Migration):

    dependencies = [
        ("approvals", "0004_upkeep"),
        ("tenants", "0003_audit_by_target"),
    ]

    operations = [
        migrations.CreateModel(
            name="Visit",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("user_id", models.IntegerField()),
                ("page", models.TextField()),
                ("at", models.DateTimeField(default=decisiongraph.core.clock.now)),
                ("before", models.DateTimeField(null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={"abstract": False, "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "user_id", "page"), name="approvals_visit_key"),
                ],
            },
        ),
        protect("approvals_visit", grants="SELECT, INSERT, UPDATE, DELETE"),
    ]
