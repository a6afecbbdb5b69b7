"""In: the tables. Out: days and files of failed pushes, gaps, and the rights to work on them.

Only these rights are given: what an installation took from its groups stays taken.
"""

from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import campaigns.models.failed_pushes
from campaigns.roles import ROLES, find_permissions, make_permissions

MODELS = ("failedpushday", "failedpushfile", "gap")


def grant(apps: Any, schema_editor: Any) -> None:
    make_permissions(apps, "campaigns")
    for name, patterns in ROLES.items():
        group = apps.get_model("auth", "Group").objects.filter(name=name).first()
        if group is not None:
            rights = find_permissions(apps, patterns)
            group.permissions.add(*(one for one in rights if one.content_type.model in MODELS))


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0022_fewer_indexes_of_contacts"),
        ("callbacks", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("auditlog", "__first__"),
        ("axes", "__first__"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="GapMark",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("call_id", models.BigIntegerField(default=0)),
                ("looked_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "verbose_name": "mark of the search for gaps",
                "verbose_name_plural": "marks of the search for gaps",
            },
        ),
        migrations.CreateModel(
            name="FailedPushDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField(verbose_name="day")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("due", "to be asked for"),
                            ("asking", "being asked for"),
                            ("listed", "listed"),
                            ("missed", "missed"),
                        ],
                        default="due",
                        editable=False,
                        max_length=8,
                        verbose_name="status",
                    ),
                ),
                ("reason", models.TextField(blank=True, editable=False, verbose_name="reason")),
                (
                    "tries",
                    models.PositiveSmallIntegerField(
                        default=0, editable=False, verbose_name="tries"
                    ),
                ),
                (
                    "next_try_at",
                    models.DateTimeField(editable=False, null=True, verbose_name="next try"),
                ),
                (
                    "lists",
                    models.PositiveSmallIntegerField(
                        default=0, editable=False, verbose_name="lists"
                    ),
                ),
                (
                    "listed_at",
                    models.DateTimeField(editable=False, null=True, verbose_name="listed"),
                ),
                (
                    "refused",
                    models.PositiveIntegerField(
                        default=0, editable=False, verbose_name="unusable entries"
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created")),
                (
                    "dismissed_at",
                    models.DateTimeField(editable=False, null=True, verbose_name="dismissed"),
                ),
                ("note", models.TextField(blank=True, editable=False, verbose_name="note")),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="failed_push_days",
                        to="campaigns.account",
                        verbose_name="account",
                    ),
                ),
                (
                    "dismissed_by",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="dismissed by",
                    ),
                ),
            ],
            options={
                "verbose_name": "day of failed pushes",
                "verbose_name_plural": "days of failed pushes",
                "ordering": ["-day", "account"],
            },
        ),
        migrations.CreateModel(
            name="FailedPushFile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("path", models.CharField(max_length=1000, verbose_name="path at the platform")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("listed", "at the platform"),
                            ("fetching", "being fetched"),
                            ("stored", "being read"),
                            ("read", "read"),
                            ("failed", "failed"),
                        ],
                        default="listed",
                        editable=False,
                        max_length=8,
                        verbose_name="status",
                    ),
                ),
                ("reason", models.TextField(blank=True, editable=False, verbose_name="reason")),
                (
                    "tries",
                    models.PositiveSmallIntegerField(
                        default=0, editable=False, verbose_name="tries"
                    ),
                ),
                (
                    "next_try_at",
                    models.DateTimeField(editable=False, null=True, verbose_name="next try"),
                ),
                (
                    "file",
                    models.FileField(
                        blank=True,
                        max_length=300,
                        upload_to=campaigns.models.failed_pushes.name_failed_push_file,
                    ),
                ),
                ("bytes", models.BigIntegerField(null=True, verbose_name="size")),
                ("sha256", models.CharField(blank=True, max_length=64)),
                ("read_sha256", models.CharField(blank=True, max_length=64)),
                ("position", models.PositiveIntegerField(default=0, editable=False)),
                ("objects_count", models.PositiveIntegerField(default=0, verbose_name="pushes")),
                ("new_count", models.PositiveIntegerField(default=0, verbose_name="new")),
                ("known_count", models.PositiveIntegerField(default=0, verbose_name="known")),
                ("odd_count", models.PositiveIntegerField(default=0, verbose_name="unreadable")),
                ("problems", models.JSONField(default=list, verbose_name="problems")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created")),
                ("fetched_at", models.DateTimeField(null=True, verbose_name="fetched")),
                ("read_at", models.DateTimeField(null=True, verbose_name="read")),
                (
                    "day",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="files",
                        to="campaigns.failedpushday",
                        verbose_name="day",
                    ),
                ),
            ],
            options={
                "verbose_name": "failed-push file",
                "verbose_name_plural": "failed-push files",
                "ordering": ["day", "id"],
            },
        ),
        migrations.CreateModel(
            name="Gap",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("record", "no call record"),
                            ("dialog", "no dialog"),
                            ("recording", "no recording"),
                            ("silent", "contact without news"),
                            ("counts", "the platform counts more"),
                            ("no_dialogs", "no dialogs at all"),
                            ("no_recordings", "no recordings at all"),
                        ],
                        max_length=16,
                        verbose_name="what",
                    ),
                ),
                ("reason", models.TextField(verbose_name="what is missing")),
                ("reason_values", models.JSONField(default=dict)),
                ("found_at", models.DateTimeField(auto_now_add=True, verbose_name="found")),
                ("asked_at", models.DateTimeField(null=True, verbose_name="asked")),
                ("asked", models.TextField(blank=True, verbose_name="asked")),
                ("answered", models.TextField(blank=True, verbose_name="answered")),
                ("answered_values", models.JSONField(default=dict)),
                ("closed_at", models.DateTimeField(null=True, verbose_name="closed")),
                (
                    "how",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("filled", "filled"),
                            ("dismissed", "dismissed"),
                            ("gone", "no longer expected"),
                        ],
                        max_length=10,
                        verbose_name="how",
                    ),
                ),
                ("note", models.TextField(blank=True, verbose_name="note")),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="gaps",
                        to="campaigns.account",
                        verbose_name="account",
                    ),
                ),
                (
                    "call",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="gaps",
                        to="campaigns.call",
                        verbose_name="call",
                    ),
                ),
                (
                    "closed_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="closed by",
                    ),
                ),
                (
                    "contact",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="gaps",
                        to="campaigns.contact",
                        verbose_name="contact",
                    ),
                ),
                (
                    "task",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="gaps",
                        to="campaigns.task",
                        verbose_name="task",
                    ),
                ),
            ],
            options={
                "verbose_name": "gap",
                "verbose_name_plural": "gaps",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="TaskTally",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("told_at", models.DateTimeField()),
                ("told", models.JSONField(default=dict)),
                ("compared_at", models.DateTimeField(null=True)),
                (
                    "task",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tally",
                        to="campaigns.task",
                    ),
                ),
            ],
            options={
                "verbose_name": "tally of a task",
                "verbose_name_plural": "tallies of tasks",
            },
        ),
        migrations.AddIndex(
            model_name="failedpushday",
            index=models.Index(
                condition=models.Q(("status__in", ["due", "asking"])),
                fields=["next_try_at"],
                name="failed_push_day_due",
            ),
        ),
        migrations.AddConstraint(
            model_name="failedpushday",
            constraint=models.UniqueConstraint(
                fields=("account", "day"), name="one_failed_push_day"
            ),
        ),
        migrations.AddIndex(
            model_name="failedpushfile",
            index=models.Index(
                condition=models.Q(("status", "read"), _negated=True),
                fields=["next_try_at"],
                name="failed_push_file_due",
            ),
        ),
        migrations.AddConstraint(
            model_name="failedpushfile",
            constraint=models.UniqueConstraint(fields=("day", "path"), name="one_failed_push_file"),
        ),
        migrations.AddIndex(
            model_name="gap",
            index=models.Index(
                condition=models.Q(("closed_at", None)), fields=["kind", "id"], name="gap_open"
            ),
        ),
        migrations.AddConstraint(
            model_name="gap",
            constraint=models.UniqueConstraint(
                condition=models.Q(("call__isnull", False)),
                fields=("kind", "call"),
                name="one_gap_per_call",
            ),
        ),
        migrations.AddConstraint(
            model_name="gap",
            constraint=models.UniqueConstraint(
                condition=models.Q(("contact__isnull", False)),
                fields=("kind", "contact"),
                name="one_gap_per_contact",
            ),
        ),
        migrations.AddConstraint(
            model_name="gap",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("call", None), ("closed_at", None), ("contact", None), ("task__isnull", False)
                ),
                fields=("kind", "task"),
                name="one_open_gap_per_task",
            ),
        ),
        migrations.AddConstraint(
            model_name="gap",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("call", None), ("closed_at", None), ("contact", None), ("task", None)
                ),
                fields=("kind", "account"),
                name="one_open_gap_per_account",
            ),
        ),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
