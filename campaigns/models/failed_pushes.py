"""In: the lists of pushes that a platform could not deliver. Out: how far each day and file of them
is caught up with."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from campaigns.models.accounts import Account


class FailedPushDay(models.Model):
    """One day of an account whose failed pushes the platform is asked for.

    It is ``listed`` when the platform gave its list, an empty one too; whether all is read, its
    files say. ``missed`` for good once the platform does not list it any more.
    """

    class Status(models.TextChoices):
        DUE = "due", _("to be asked for")
        ASKING = "asking", _("being asked for")
        LISTED = "listed", _("listed")
        MISSED = "missed", _("missed")

    account = models.ForeignKey(
        Account, models.CASCADE, related_name="failed_push_days", verbose_name=_("account")
    )
    day = models.DateField(_("day"))
    status = models.CharField(
        _("status"), max_length=8, choices=Status, default=Status.DUE, editable=False
    )
    #: an English sentence, translated when shown
    reason = models.TextField(_("reason"), blank=True, editable=False)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0, editable=False)
    next_try_at = models.DateTimeField(_("next try"), null=True, editable=False)
    #: how often the platform gave its list, and when it did so last
    lists = models.PositiveSmallIntegerField(_("lists"), default=0, editable=False)
    listed_at = models.DateTimeField(_("listed"), null=True, editable=False)
    #: entries of the last list that are no usable path
    refused = models.PositiveIntegerField(_("unusable entries"), default=0, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    #: somebody has looked into what could not be fetched, and says so
    dismissed_at = models.DateTimeField(_("dismissed"), null=True, editable=False)
    dismissed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("dismissed by"),
    )
    note = models.TextField(_("note"), blank=True, editable=False)

    class Meta:
        verbose_name = _("day of failed pushes")
        verbose_name_plural = _("days of failed pushes")
        ordering = ["-day", "account"]
        constraints = [
            models.UniqueConstraint(fields=["account", "day"], name="one_failed_push_day")
        ]
        indexes = [
            models.Index(
                fields=["next_try_at"],
                condition=Q(status__in=["due", "asking"]),
                name="failed_push_day_due",
            )
        ]

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d}"

    @property
    def sentence(self) -> str:
        return gettext(self.reason) if self.reason else ""


def name_failed_push_file(row: FailedPushFile, filename: str) -> str:
    """Where a file is kept: by account and our own id, never by anything a platform said."""
    return f"failed_pushes/{row.day.account_id}/{row.pk}.zip"


class FailedPushFile(models.Model):
    """One file of a day: where the platform has it, our copy until it is read, and what was in it.

    ``position`` counts the pushes that are in the inbox already: whoever goes on begins there.
    """

    class Status(models.TextChoices):
        LISTED = "listed", pgettext_lazy("file", "at the platform")
        FETCHING = "fetching", _("being fetched")
        STORED = "stored", _("being read")
        READ = "read", pgettext_lazy("file", "read")
        FAILED = "failed", _("failed")

    day = models.ForeignKey(
        FailedPushDay, models.CASCADE, related_name="files", verbose_name=_("day")
    )
    path = models.CharField(_("path at the platform"), max_length=1000)
    status = models.CharField(
        _("status"), max_length=8, choices=Status, default=Status.LISTED, editable=False
    )
    reason = models.TextField(_("reason"), blank=True, editable=False)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0, editable=False)
    next_try_at = models.DateTimeField(_("next try"), null=True, editable=False)
    file = models.FileField(upload_to=name_failed_push_file, blank=True, max_length=300)
    bytes = models.BigIntegerField(_("size"), null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    #: the content that was read to its end last
    read_sha256 = models.CharField(max_length=64, blank=True)
    position = models.PositiveIntegerField(default=0, editable=False)
    objects_count = models.PositiveIntegerField(_("pushes"), default=0)
    new_count = models.PositiveIntegerField(_("new"), default=0)
    known_count = models.PositiveIntegerField(_("known"), default=0)
    odd_count = models.PositiveIntegerField(_("unreadable"), default=0)
    #: [{"entry": number in the archive, "reason": an English sentence}]
    problems = models.JSONField(_("problems"), default=list)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    fetched_at = models.DateTimeField(_("fetched"), null=True)
    read_at = models.DateTimeField(_("read"), null=True)

    class Meta:
        verbose_name = _("failed-push file")
        verbose_name_plural = _("failed-push files")
        ordering = ["day", "id"]
        constraints = [models.UniqueConstraint(fields=["day", "path"], name="one_failed_push_file")]
        indexes = [
            models.Index(
                fields=["next_try_at"],
                condition=~Q(status="read"),
                name="failed_push_file_due",
            )
        ]

    def __str__(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def sentence(self) -> str:
        return gettext(self.reason) if self.reason else ""
