"""In: what one person may not decide alone. Out: who asked, who answered, and what about."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from campaigns.models.tasks import Attempt, Task


class Approval(models.Model):
    """One person asks, another one answers. It holds for what was asked about and for nothing else.

    ``facts`` is what the other person was shown; ``fingerprint`` tells whether it is still so.
    """

    class Kind(models.TextChoices):
        LAUNCH = "launch", _("launch a task")
        RESEND = "resend", _("send again")

    class Status(models.TextChoices):
        ASKED = "asked", _("waits for a second person")
        APPROVED = "approved", _("approved")
        DECLINED = "declined", pgettext_lazy("approval", "declined")
        WITHDRAWN = "withdrawn", pgettext_lazy("approval", "withdrawn")
        USED = "used", _("carried out")

    kind = models.CharField(_("what"), max_length=10, choices=Kind)
    task = models.ForeignKey(Task, models.CASCADE, related_name="approvals", verbose_name=_("task"))
    attempt = models.ForeignKey(
        Attempt, models.CASCADE, null=True, related_name="approvals", verbose_name=_("request")
    )
    status = models.CharField(
        _("status"), max_length=10, choices=Status, default=Status.ASKED, editable=False
    )
    #: why it was asked for, in the words of who asked
    reason_given = models.TextField(_("reason"), blank=True)
    #: what the second person said
    answer = models.TextField(pgettext_lazy("approval", "answer"), blank=True)
    facts = models.JSONField(_("what it is about"), default=dict)
    fingerprint = models.CharField(max_length=64)
    asked_at = models.DateTimeField(pgettext_lazy("approval", "asked"), auto_now_add=True)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("asked by"),
    )
    decided_at = models.DateTimeField(pgettext_lazy("approval", "answered"), null=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("answered by"),
    )

    class Meta:
        verbose_name = _("approval")
        verbose_name_plural = _("approvals")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "task"],
                condition=Q(attempt=None, status__in=["asked", "approved"]),
                name="one_open_approval_per_task",
            ),
            models.UniqueConstraint(
                fields=["kind", "attempt"],
                condition=Q(status__in=["asked", "approved"]),
                name="one_open_approval_per_attempt",
            ),
            # the whole point of it
            models.CheckConstraint(
                condition=~Q(status__in=["approved", "used"])
                | Q(decided_by=None)
                | Q(asked_by=None)
                | ~Q(decided_by=models.F("asked_by")),
                name="two_persons_approve",
            ),
        ]
        permissions = [("decide_approval", "Can approve what another person asks for")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.task}"
