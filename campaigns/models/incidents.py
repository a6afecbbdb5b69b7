"""In: something that must never happen and did, or may have. Out: a row nobody can overlook."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from campaigns.models.accounts import Account
from campaigns.models.history import tell_reason
from campaigns.models.tasks import Attempt, Contact, Task


class Incident(models.Model):
    """People may have been called who should not have been. It stays on every page until somebody
    closes it with a word about what was done."""

    class Kind(models.TextChoices):
        CALLED_TWICE = "called_twice", _("sent twice")
        CALLED_BARRED = "called_barred", _("called after a no")
        CALLED_UNSENT = "called_unsent", _("called without being handed over")

    kind = models.CharField(_("what"), max_length=20, choices=Kind)
    account = models.ForeignKey(
        Account, models.CASCADE, related_name="incidents", verbose_name=_("account")
    )
    task = models.ForeignKey(
        Task, models.CASCADE, null=True, related_name="incidents", verbose_name=_("task")
    )
    attempt = models.ForeignKey(
        Attempt, models.SET_NULL, null=True, related_name="incidents", verbose_name=_("request")
    )
    contact = models.ForeignKey(
        Contact, models.SET_NULL, null=True, related_name="incidents", verbose_name=_("contact")
    )
    #: an English sentence with places for the values, translated when shown
    reason = models.TextField(_("what happened"))
    reason_values = models.JSONField(default=dict)
    opened_at = models.DateTimeField(_("opened"), auto_now_add=True)
    closed_at = models.DateTimeField(_("closed"), null=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("closed by"),
    )
    #: what was done about it
    note = models.TextField(_("what was done"), blank=True)

    class Meta:
        verbose_name = _("incident")
        verbose_name_plural = _("incidents")
        ordering = ["-id"]
        constraints = [
            # one story for one request: later proofs of the same add nothing
            models.UniqueConstraint(
                fields=["kind", "attempt"],
                condition=Q(closed_at=None, attempt__isnull=False),
                name="one_open_incident_per_attempt",
            )
        ]
        indexes = [models.Index(fields=["id"], condition=Q(closed_at=None), name="incident_open")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"

    @property
    def sentence(self) -> str:
        """What happened, in the reader's language."""
        return tell_reason(self.reason, self.reason_values)
