"""Logs that are not what was sealed, so that an incident is opened for them."""

from django.db import migrations

from decisiongraph.core.db import definer_function


class Migration(migrations.Migration):

    dependencies = [
        ('approvals', '0007_measures'),
        ('traces', '0004_merkle'),
    ]

    operations = [
        definer_function(
            "dg_damaged_logs()",
            returns="SETOF integer",
            body="SELECT tenant_id FROM traces_logseal WHERE fault <> ''",
            reads=("traces_logseal",),
        ),
    ]
