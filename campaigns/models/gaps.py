"""In: what should have come of a call, a contact or a task and did not. Out: a row that somebody
can follow: when it was found, what was asked and answered, and how it was closed."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from campaigns.models.accounts import Account
from campaigns.models.calls import Call
from campaigns.models.history import tell_reason
from campaigns.models.tasks import Contact, Task


class Gap(models.Model):
    """Something that is missing. It closes itself as soon as it is filled."""

    class Kind(models.TextChoices):
        RECORD = "record", _("no call record")
        DIALOG = "dialog", _("no dialog")
        RECORDING = "recording", _("no recording")
        SILENT = "silent", _("contact without news")
        COUNTS = "counts", _("the platform counts more")
        #: nothing of a kind comes at all: one row instead of one for each call
        NO_DIALOGS = "no_dialogs", _("no dialogs at all")
        NO_RECORDINGS = "no_recordings", _("no recordings at all")

    class How(models.TextChoices):
        FILLED = "filled", _("filled")
        DISMISSED = "dismissed", _("dismissed")
        GONE = "gone", _("no longer expected")

    kind = models.CharField(_("what"), max_length=16, choices=Kind)
    account = models.ForeignKey(
        Account, models.CASCADE, related_name="gaps", verbose_name=_("account")
    )
    task = models.ForeignKey(
        Task, models.CASCADE, null=True, related_name="gaps", verbose_name=_("task")
    )
    contact = models.ForeignKey(
        Contact, models.CASCADE, null=True, related_name="gaps", verbose_name=_("contact")
    )
    call = models.ForeignKey(
        Call, models.CASCADE, null=True, related_name="gaps", verbose_name=_("call")
    )
    #: an English sentence with places for the values, translated when shown
    reason = models.TextField(_("what is missing"))
    reason_values = models.JSONField(default=dict)
    found_at = models.DateTimeField(_("found"), auto_now_add=True)
    #: what the platform was asked about it last, and what it said: English sentences with places
    asked_at = models.DateTimeField(_("asked"), null=True)
    asked = models.TextField(_("asked"), blank=True)
    answered = models.TextField(_("answered"), blank=True)
    answered_values = models.JSONField(default=dict)
    closed_at = models.DateTimeField(_("closed"), null=True)
    how = models.CharField(_("how"), max_length=10, choices=How, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("closed by"),
    )
    note = models.TextField(_("note"), blank=True)

    class Meta:
        verbose_name = _("gap")
        verbose_name_plural = _("gaps")
        ordering = ["-id"]
        constraints = [
            # One story for one thing: what somebody dismissed is not found again.
            models.UniqueConstraint(
                fields=["kind", "call"], condition=Q(call__isnull=False), name="one_gap_per_call"
            ),
            models.UniqueConstraint(
                fields=["kind", "contact"],
                condition=Q(contact__isnull=False),
                name="one_gap_per_contact",
            ),
            models.UniqueConstraint(
                fields=["kind", "task"],
                condition=Q(call=None, contact=None, task__isnull=False, closed_at=None),
                name="one_open_gap_per_task",
            ),
            models.UniqueConstraint(
                fields=["kind", "account"],
                condition=Q(task=None, call=None, contact=None, closed_at=None),
                name="one_open_gap_per_account",
            ),
        ]
        indexes = [
            models.Index(fields=["kind", "id"], condition=Q(closed_at=None), name="gap_open"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"

    @property
    def sentence(self) -> str:
        return tell_reason(self.reason, self.reason_values)

    @property
    def answer(self) -> str:
        return tell_reason(self.answered, self.answered_values)


class TaskTally(models.Model):
    """What the platform had counted of a task at one moment, to be compared with our rows when
    everything of before that moment has had the time to come."""

    task = models.OneToOneField(Task, models.CASCADE, related_name="tally")
    told_at = models.DateTimeField()
    #: {"calls", "numbers", "answered": n}
    told = models.JSONField(default=dict)
    #: what was told and compared last, so that the same is not compared twice
    compared_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("tally of a task")
        verbose_name_plural = _("tallies of tasks")


class GapMark(models.Model):
    """How far the calls have been looked through: each once, in the order of their ids."""

    call_id = models.BigIntegerField(default=0)
    #: where each other search is in its ring: {what: id}
    places = models.JSONField(default=dict)
    looked_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("mark of the search for gaps")
        verbose_name_plural = _("marks of the search for gaps")
