"""In: the registry of models. Out: the four groups with their rights. Only adds, never takes away.

Called by migrations: what an installation changed in its groups afterwards stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import F

#: {group: ("app.codename", …)}; ``app.*`` is every right of an app, ``app.view_*`` those to look
VIEWER = ("campaigns.view_*", "callbacks.view_receipt")
OPERATOR = (
    *VIEWER,
    "campaigns.add_task",
    "campaigns.change_task",
    "campaigns.add_contact",
    "campaigns.change_contact",
    "campaigns.add_contactimport",
    # to forbid a call is never wrong; to allow it again is for a manager
    "campaigns.add_donotcall",
    "campaigns.add_barlistimport",
    # what a person heard stands beside what the platform said
    "campaigns.add_correction",
    "campaigns.add_remark",
    "campaigns.review_call",
    # both only make drafts; to launch them is another right
    "campaigns.add_redial",
    "campaigns.add_experiment",
    "campaigns.add_savedfilter",
    # what is done to rows needs the right to do it to one of them as well
    "campaigns.add_bulkjob",
)
MANAGER = (
    *OPERATOR,
    "campaigns.launch_task",
    "campaigns.call_directly",
    "campaigns.unmask_phone",
    "campaigns.export_data",
    "campaigns.oversee_exports",
    "campaigns.add_exportplan",
    "campaigns.change_exportplan",
    "campaigns.delete_exportplan",
    "campaigns.change_attempt",
    "campaigns.decide_approval",
    "campaigns.change_incident",
    "campaigns.add_holiday",
    "campaigns.change_holiday",
    "campaigns.delete_holiday",
    "campaigns.change_recording",
    "campaigns.change_failedpushday",
    "campaigns.change_gap",
    "campaigns.change_verification",
    "campaigns.change_donotcall",
    "campaigns.add_donotcallrule",
    "campaigns.change_donotcallrule",
    "campaigns.delete_donotcallrule",
    # who is told of what; where to, outside of the console, is for an administrator
    "campaigns.add_noticerule",
    "campaigns.change_noticerule",
    "campaigns.delete_noticerule",
    "campaigns.change_noticedelivery",
    # what the platforms are answered during a call
    "campaigns.add_inboundcontext",
    "campaigns.change_inboundcontext",
    "campaigns.delete_inboundcontext",
    "campaigns.add_contextdefault",
    "campaigns.change_contextdefault",
    "campaigns.delete_contextdefault",
    "campaigns.add_contextimport",
    "campaigns.add_semanticrule",
    "campaigns.change_semanticrule",
    "campaigns.delete_semanticrule",
    "campaigns.add_reviewrule",
    "campaigns.change_reviewrule",
    "callbacks.change_receipt",
)
ADMIN = (
    *MANAGER,
    "campaigns.*",
    "callbacks.*",
    "auth.view_*",
    "auth.add_user",
    "auth.change_user",
    "auth.delete_user",
    "auth.add_group",
    "auth.change_group",
    "auth.delete_group",
    "auditlog.view_logentry",
    "axes.view_*",
    "axes.delete_accessattempt",
)
ROLES: dict[str, tuple[str, ...]] = {
    "viewer": VIEWER,
    "operator": OPERATOR,
    "manager": MANAGER,
    "admin": ADMIN,
}
#: nobody's business: secrets, even encrypted ones
NEVER = ("accounttoken",)


def grant_roles(apps: Any) -> None:
    """Make the groups and give them what of ``ROLES`` exists.

    ``apps`` is a registry (a migration's or the live one). Django makes the rows of its permissions
    only after all migrations, so those that are missing are made here.
    """
    group_model = apps.get_model("auth", "Group")
    for label in ("campaigns", "callbacks", "auth", "auditlog", "axes"):
        make_permissions(apps, label)
    for name, patterns in ROLES.items():
        group = group_model.objects.get_or_create(name=name)[0]
        group.permissions.add(*find_permissions(apps, patterns))


def make_permissions(apps: Any, label: str) -> None:
    """The rows that ``post_migrate`` will want, made early; it leaves them as they are."""
    content_type = apps.get_model("contenttypes", "ContentType")
    permission = apps.get_model("auth", "Permission")
    try:
        config = apps.get_app_config(label)
    except LookupError:
        return
    # read once, and written at once: this is done by each migration that makes rights, and one look
    # per right would be a third of the time that a new database takes
    kinds = {kind.model: kind for kind in content_type.objects.filter(app_label=label)}
    known = set(
        permission.objects.filter(content_type__app_label=label).values_list(
            "content_type_id", "codename"
        )
    )
    missing = []
    for model in config.get_models():
        options = model._meta
        kind = kinds.get(options.model_name) or content_type.objects.create(
            app_label=label, model=options.model_name
        )
        wanted = [
            (f"{action}_{options.model_name}", f"Can {action} {options.verbose_name_raw}"[:255])
            for action in options.default_permissions
        ]
        missing += [
            permission(content_type=kind, codename=codename, name=name)
            for codename, name in [*wanted, *options.permissions]
            if (kind.pk, codename) not in known
        ]
    permission.objects.bulk_create(missing, ignore_conflicts=True)


def find_permissions(apps: Any, patterns: Iterable[str]) -> list[Any]:
    """Those that exist, by their id."""
    wanted = [pattern.partition(".") for pattern in patterns]
    rows = (
        apps.get_model("auth", "Permission")
        .objects.filter(content_type__app_label__in={label for label, _, _ in wanted})
        .exclude(content_type__model__in=NEVER)
        .annotate(label=F("content_type__app_label"))
        .order_by("pk")
    )
    return [
        row
        for row in rows
        if any(
            label == row.label
            and (row.codename.startswith(name[:-1]) if name.endswith("*") else row.codename == name)
            for label, _, name in wanted
        )
    ]
