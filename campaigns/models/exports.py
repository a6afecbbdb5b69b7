"""In: rows that somebody wants as a file. Out: ``Export``, the file and what came of it, and
``ExportPlan``, a file that is made every day."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop as N_

from campaigns.models.history import tell_reason
from campaigns.models.tasks import Task


def name_export_file(export: Export, file_name: str) -> str:
    """A path that nobody can guess."""
    return f"exports/{secrets.token_hex(16)}"


class Kind(models.TextChoices):
    CALLS = "calls", _("calls")
    CONTACTS = "contacts", _("contacts")
    RECORDINGS = "recordings", _("recordings")


class Form(models.TextChoices):
    CSV = "csv", "CSV"
    XLSX = "xlsx", "Excel (.xlsx)"
    ZIP = "zip", "ZIP"


class Words(models.TextChoices):
    """Who the header and the words in the cells are for."""

    CODES = "", _("programs: the same in every language")
    ENGLISH = "en", "English"
    CHINESE = "zh-hans", "简体中文"


class ExportPlan(models.Model):
    """The calls of a task, as a file, every day."""

    task = models.ForeignKey(
        Task, models.CASCADE, related_name="export_plans", verbose_name=_("task")
    )
    form = models.CharField(_("form"), max_length=10, choices=Form, default=Form.CSV)
    words = models.CharField(_("words"), max_length=10, choices=Words, blank=True, default="")
    #: with whole phone numbers
    whole = models.BooleanField(_("with whole phone numbers"), default=False)
    #: by the account's clock; the file has the calls of the day before
    at = models.TimeField(_("time of day"))
    is_active = models.BooleanField(_("active"), default=True)
    #: the day whose calls came last, and from which on it is asked for
    done_until = models.DateField(null=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("by"),
    )

    class Meta:
        verbose_name = _("daily export")
        verbose_name_plural = _("daily exports")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.task} · {self.at:%H:%M}"


class Export(models.Model):
    """One file that a job makes of what was chosen."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("given up")
        #: the period in which it can be fetched is over
        EXPIRED = "expired", _("deleted")

    OPEN = ("waiting", "running")

    kind = models.CharField(_("what"), max_length=10, choices=Kind)
    form = models.CharField(_("form"), max_length=10, choices=Form, default=Form.CSV)
    words = models.CharField(_("words"), max_length=10, choices=Words, blank=True, default="")
    #: ``Criteria.params``
    params = models.JSONField(_("criteria"), default=dict)
    whole = models.BooleanField(_("with whole phone numbers"), default=False)
    #: moments are written as this zone's clocks show them
    zone = models.CharField(_("time zone"), max_length=60)
    plan = models.ForeignKey(
        ExportPlan, models.SET_NULL, null=True, related_name="exports", verbose_name=_("plan")
    )
    #: of a plan: whose calls it has
    day = models.DateField(_("day"), null=True)

    status = models.CharField(
        _("status"), max_length=10, choices=Status, default=Status.WAITING, editable=False
    )
    #: an English sentence with places for the values, translated when shown
    reason = models.TextField(_("reason"), blank=True, editable=False)
    reason_values = models.JSONField(default=dict, editable=False)
    #: rows written; of recordings, the files
    rows = models.BigIntegerField(_("rows"), default=0, editable=False)
    #: rows there are, once somebody has counted them
    rows_end = models.BigIntegerField(null=True, editable=False)
    #: recordings that are not in the file, as the index in it says
    missing = models.PositiveIntegerField(_("missing"), default=0, editable=False)
    tries = models.PositiveSmallIntegerField(default=0, editable=False)
    #: somebody wants it no more
    is_cancelled = models.BooleanField(default=False, editable=False)
    file = models.FileField(upload_to=name_export_file, blank=True, max_length=300)
    file_name = models.CharField(_("file"), max_length=150, blank=True)
    bytes = models.BigIntegerField(_("size"), null=True)
    downloads = models.PositiveIntegerField(_("downloads"), default=0)

    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("by"),
    )
    started_at = models.DateTimeField(_("started"), null=True, editable=False)
    #: the last sign of life of the job
    progress_at = models.DateTimeField(null=True, editable=False)
    ended_at = models.DateTimeField(_("ended"), null=True, editable=False)
    #: when the file is deleted
    expires_at = models.DateTimeField(_("kept until"), null=True, editable=False)

    class Meta:
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        ordering = ["-id"]
        permissions = [("oversee_exports", N_("Can see and fetch the exports of others"))]
        constraints = [
            models.UniqueConstraint(fields=["plan", "day"], name="one_export_per_plan_and_day")
        ]
        indexes = [
            models.Index(
                fields=["status"],
                condition=Q(status__in=["waiting", "running"]),
                name="export_open",
            ),
            models.Index(fields=["expires_at"], condition=Q(status="done"), name="export_expires"),
            models.Index(fields=["created_by", "-id"], name="export_of_user"),
        ]

    def __str__(self) -> str:
        return self.file_name or f"{self.get_kind_display()} {self.pk}"

    @property
    def reason_text(self) -> str:
        """The reason in the reader's language."""
        return tell_reason(self.reason, self.reason_values)

    @property
    def is_open(self) -> bool:
        return self.status in self.OPEN
