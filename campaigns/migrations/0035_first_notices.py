"""In: the groups. Out: the same with the rights about notices, and the first rules: whoever may see
something is told in the console when it goes wrong, or is done.

Only these rights are given: what an installation took from its groups stays taken.
"""

from typing import Any

from django.db import migrations

from campaigns.roles import ROLES, find_permissions, make_permissions

MODELS = ("notice", "noticehook", "noticerule", "noticedelivery")
FIRST = (
    *("task_done", "task_stopped", "task_attention", "platform_silent", "account_stopped"),
    *("account_broken", "decision", "approval", "incident", "quarantine", "gap"),
    *("import_failed", "database_held"),
)


def grant(apps: Any, schema_editor: Any) -> None:
    make_permissions(apps, "campaigns")
    for name, patterns in ROLES.items():
        group = apps.get_model("auth", "Group").objects.filter(name=name).first()
        if group is not None:
            rights = find_permissions(apps, patterns)
            group.permissions.add(*(one for one in rights if one.content_type.model in MODELS))


def make_rules(apps: Any, schema_editor: Any) -> None:
    rules = apps.get_model("campaigns", "NoticeRule").objects
    for event in FIRST:
        rules.get_or_create(event=event, defaults={"everyone": True, "by_bell": True})


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0034_notices"),
        ("callbacks", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("auditlog", "__first__"),
        ("axes", "__first__"),
    ]
    operations = [
        migrations.RunPython(grant, migrations.RunPython.noop),
        migrations.RunPython(make_rules, migrations.RunPython.noop),
    ]
