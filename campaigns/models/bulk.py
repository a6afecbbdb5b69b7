"""In: rows that somebody chose. Out: ``SavedFilter``, the choice by a name, and ``BulkJob``, what
is done with all of them, row by row."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from campaigns.models.history import tell_reason


class SavedFilter(models.Model):
    """A choice of calls or contacts that somebody wants to see again."""

    class Kind(models.TextChoices):
        CALLS = "calls", _("calls")
        CONTACTS = "contacts", _("contacts")

    kind = models.CharField(_("of"), max_length=10, choices=Kind)
    name = models.CharField(_("name"), max_length=80)
    #: ``Criteria.params``
    params = models.JSONField(_("criteria"), default=dict)
    is_shared = models.BooleanField(_("for everybody"), default=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("of whom")
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("saved filter")
        verbose_name_plural = _("saved filters")
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "kind", "name"], name="one_filter_per_name")
        ]
        indexes = [models.Index(fields=["kind"], condition=Q(is_shared=True), name="filter_shared")]

    def __str__(self) -> str:
        return self.name


class BulkJob(models.Model):
    """One thing that is done with every row that somebody chose."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("waiting")
        GATHERING = "gathering", _("gathering the rows")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("stopped")
        UNDOING = "undoing", _("being taken back")
        UNDONE = "undone", _("taken back")

    #: a job works on it, or should
    BUSY = ("waiting", "gathering", "running", "undoing")

    class Action(models.TextChoices):
        BAR = "bar", _("put on the do-not-call list")
        FETCH = "fetch", _("fetch recordings again")
        EXCLUDE = "exclude", _("leave out, not called")

    action = models.CharField(_("what"), max_length=10, choices=Action)
    #: calls or contacts
    kind = models.CharField(_("of"), max_length=10, choices=SavedFilter.Kind)
    #: ``Criteria.params``
    params = models.JSONField(_("criteria"), default=dict)
    #: what the person entered: {"reason", "days", "everywhere"}
    options = models.JSONField(default=dict)
    #: of the do-not-call list: {account or "": the import that stands for what was entered}
    lists = models.JSONField(default=dict, editable=False)

    status = models.CharField(
        _("status"), max_length=10, choices=Status, default=Status.WAITING, editable=False
    )
    #: an English sentence with places for the values, translated when shown
    reason = models.TextField(_("reason"), blank=True, editable=False)
    reason_values = models.JSONField(default=dict, editable=False)
    #: rows chosen; None until they are gathered
    total = models.PositiveIntegerField(_("rows"), null=True, editable=False)
    done = models.PositiveIntegerField(_("done"), default=0, editable=False)
    #: nothing was to be done with these, for the reasons in ``reasons``
    passed = models.PositiveIntegerField(_("passed over"), default=0, editable=False)
    undone = models.PositiveIntegerField(_("taken back"), default=0, editable=False)
    #: the last row that was looked at, on the way there and on the way back
    reached = models.BigIntegerField(default=0, editable=False)
    #: {English sentence: rows}
    reasons = models.JSONField(default=dict, editable=False)
    tries = models.PositiveSmallIntegerField(default=0, editable=False)
    is_cancelled = models.BooleanField(default=False, editable=False)

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

    class Meta:
        verbose_name = _("bulk job")
        verbose_name_plural = _("bulk jobs")
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["status"],
                condition=Q(status__in=["waiting", "gathering", "running", "undoing"]),
                name="bulk_busy",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()} ({self.pk})"

    @property
    def reason_text(self) -> str:
        """The reason in the reader's language."""
        return tell_reason(self.reason, self.reason_values)

    @property
    def is_busy(self) -> bool:
        return self.status in self.BUSY


class BulkRow(models.Model):
    """A row that was chosen when the job was begun, and what came of it."""

    class Outcome(models.IntegerChoices):
        WAITING = 0, _("waiting")
        DONE = 1, _("done")
        PASSED = 2, _("passed over")
        UNDONE = 3, _("taken back")

    pk = models.CompositePrimaryKey("job_id", "row_id")
    job = models.ForeignKey(BulkJob, models.CASCADE, db_index=False, related_name="+")
    row_id = models.BigIntegerField()
    outcome = models.PositiveSmallIntegerField(choices=Outcome, default=Outcome.WAITING)

    class Meta:
        verbose_name = _("row of a bulk job")
        verbose_name_plural = _("rows of bulk jobs")

    def __str__(self) -> str:
        return f"{self.job_id}/{self.row_id}"
