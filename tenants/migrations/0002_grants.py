"""What the runtime role may do with the tables of Django itself and of django-guardian."""

from typing import ClassVar

from django.db import migrations

from decisiongraph.core.db import platform_table


class Migration(migrations.Migration):
    """After those tables exist."""

    dependencies: ClassVar = [
        ("tenants", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("sessions", "0001_initial"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("guardian", "0003_remove_groupobjectpermission_guardian_gr_content_ae6aec_idx_and_more"),
    ]

    operations: ClassVar = [
        platform_table("auth_group", grants="SELECT, INSERT"),
        platform_table("auth_group_permissions", grants="SELECT"),
        platform_table("auth_permission", grants="SELECT, INSERT"),
        platform_table("django_content_type", grants="SELECT, INSERT"),
        platform_table("django_session"),
        platform_table("django_admin_log", grants="SELECT"),
        platform_table("django_migrations", grants="SELECT"),
        platform_table("guardian_groupobjectpermission"),
        platform_table("guardian_userobjectpermission", grants="SELECT"),
    ]
