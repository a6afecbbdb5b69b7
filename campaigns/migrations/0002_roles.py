"""In: a database with all tables. Out: the groups viewer, operator, manager and admin."""

from typing import Any

from django.db import migrations

from campaigns.roles import grant_roles


def make_roles(apps: Any, schema_editor: Any) -> None:
    grant_roles(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0001_initial"),
        ("callbacks", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("auditlog", "__first__"),
        ("axes", "__first__"),
    ]
    # Taking the groups away would take them from users who are in them.
    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
