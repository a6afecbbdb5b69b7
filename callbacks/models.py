"""In: the bytes of a push. Out: the durable inbox: one row per distinct push, never lost."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from campaigns.lifecycle import add_moves
from campaigns.models import Account


class Receipt(models.Model):
    """One push as it arrived. An exact repeat raises ``deliveries`` on the first row."""

    class Status(models.TextChoices):
        RECEIVED = "received", _("waiting")
        PROCESSED = "processed", _("processed")
        IGNORED = "ignored", _("ignored")
        QUARANTINED = "quarantined", _("quarantined")

    class Source(models.TextChoices):
        LIVE = "live", _("live")
        FAILED_PUSH = "failed_push", _("failed-push file")

    account = models.ForeignKey(
        Account, models.PROTECT, related_name="receipts", verbose_name=_("account")
    )
    kind = models.CharField(_("kind"), max_length=64, blank=True)
    source = models.CharField(_("source"), max_length=12, choices=Source, default=Source.LIVE)
    body = models.BinaryField(_("body"))
    sha256 = models.BinaryField(max_length=32)
    content_type = models.CharField(_("content type"), max_length=200, blank=True)
    content_encoding = models.CharField(max_length=100, blank=True)
    received_at = models.DateTimeField(_("received"), auto_now_add=True)
    deliveries = models.PositiveIntegerField(_("deliveries"), default=1)
    last_delivery_at = models.DateTimeField(_("last delivery"), null=True)

    status = models.CharField(
        _("status"), max_length=12, choices=Status, default=Status.RECEIVED, editable=False
    )
    reason = models.CharField(_("reason"), max_length=50, blank=True)
    detail = models.TextField(_("detail"), blank=True)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    claimed_until = models.DateTimeField(null=True)
    processed_at = models.DateTimeField(_("processed"), null=True)
    #: ids of the calls and tasks it was about, for the links of the screens
    platform_call_id = models.CharField(_("platform's call id"), max_length=200, blank=True)
    problems = models.JSONField(_("unusable fields"), default=dict)

    class Meta:
        verbose_name = _("receipt")
        verbose_name_plural = _("receipts")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "kind", "sha256"], name="one_receipt_per_body"
            )
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(status="received"), name="receipt_waiting"),
            models.Index(fields=["status", "reason"], name="receipt_status"),
            models.Index(
                fields=["account", "platform_call_id"],
                condition=~Q(platform_call_id=""),
                name="receipt_call",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind or '*'} {self.pk}"


add_moves(
    Receipt,
    {
        "received": frozenset({"processed", "ignored", "quarantined"}),
        "quarantined": frozenset({"received", "processed", "ignored"}),
        "ignored": frozenset({"received"}),
        "processed": frozenset({"received"}),
    },
)
