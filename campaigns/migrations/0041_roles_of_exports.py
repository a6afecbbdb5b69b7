"""In: the groups. Out: the same with the rights to exports, bulk jobs and saved filters.

Only these are given: what an installation took from its groups stays taken.
"""

from typing import Any

from django.db import migrations

from campaigns.roles import ROLES, find_permissions, make_permissions

MODELS = ("export", "exportplan", "savedfilter", "bulkjob", "bulkrow")


def grant(apps: Any, schema_editor: Any) -> None:
    make_permissions(apps, "campaigns")
    for name, patterns in ROLES.items():
        group = apps.get_model("auth", "Group").objects.filter(name=name).first()
        if group is not None:
            rights = find_permissions(apps, patterns)
            group.permissions.add(*(one for one in rights if one.content_type.model in MODELS))


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0040_exports_and_bulk_jobs"),
        ("callbacks", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("auditlog", "__first__"),
        ("axes", "__first__"),
    ]
    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
