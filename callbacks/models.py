"""In: the bytes of a push. Out: the durable inbox: one row per distinct push, never lost.

Beside it what counts it: pushes by minute and by hour as they arrived, what was deleted when it was
old, and the numbers that take too long to be counted for every page.
"""

from __future__ import annotations

from django.conf import settings
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
        Account,
        models.PROTECT,
        db_index=False,  # another begins with it
        related_name="receipts",
        verbose_name=_("account"),
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
    #: the platform's name for what it is, where the bytes tell it and the address does not
    told_kind = models.CharField(max_length=64, blank=True, db_default="", editable=False)

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
            # for the screens: none of these costs a push that arrives once and is understood
            models.Index(
                fields=["reason", "account", "kind"],
                include=["received_at"],
                condition=Q(status="quarantined"),
                name="receipt_quarantined",
            ),
            models.Index(
                fields=["last_delivery_at"],
                include=["deliveries"],
                condition=Q(deliveries__gt=1),
                name="receipt_repeated",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.told_kind or self.kind} #{self.pk}".strip()


class InboxTally(models.Model):
    """Pushes of one account, kind and source that arrived in a minute, or in an hour. Counted from
    the receipts afterwards, so that no push waits for a counter. Minutes are kept for two days,
    hours for ever: they still tell what was received when the rows are deleted."""

    class Span(models.TextChoices):
        MINUTE = "minute", _("minute")
        HOUR = "hour", _("hour")

    span = models.CharField(max_length=6, choices=Span)
    begins_at = models.DateTimeField()
    account = models.ForeignKey(Account, models.PROTECT, related_name="+", db_index=False)
    #: a kind of its platform, ``OTHER`` for every other
    kind = models.CharField(max_length=64, blank=True)
    source = models.CharField(max_length=12, choices=Receipt.Source)
    received = models.PositiveIntegerField(default=0)
    #: of them, how many came long after their call had ended
    late = models.PositiveIntegerField(default=0)

    OTHER = "?"

    class Meta:
        default_permissions = ()
        verbose_name = _("pushes of an hour")
        verbose_name_plural = _("pushes by hour")
        constraints = [
            models.UniqueConstraint(
                fields=["span", "begins_at", "account", "kind", "source"], name="one_tally"
            )
        ]

    def __str__(self) -> str:
        return f"{self.begins_at:%Y-%m-%d %H:%M} {self.kind}"


class Forgotten(models.Model):
    """Receipts that were deleted because they were old, ``number`` of one ``status``. Written in
    the transaction that deletes them, so that what was received can still be accounted for."""

    status = models.CharField(max_length=12, choices=Receipt.Status)
    number = models.PositiveIntegerField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ()
        verbose_name = _("deleted receipts")
        verbose_name_plural = _("deleted receipts")

    def __str__(self) -> str:
        return f"{self.number} {self.status}"


class Snapshot(models.Model):
    """Numbers as they were at ``taken_at``: those that a page cannot wait for."""

    name = models.CharField(max_length=20, primary_key=True)
    taken_at = models.DateTimeField()
    took_ms = models.PositiveIntegerField(default=0)
    numbers = models.JSONField(default=dict)

    class Meta:
        default_permissions = ()
        verbose_name = _("counted numbers")
        verbose_name_plural = _("counted numbers")

    def __str__(self) -> str:
        return self.name


class Rereading(models.Model):
    """Receipts that are sent through again, too many for one transaction: those of ``chosen``
    (see ``rereading.choose``) with an id from ``position`` to ``up_to``."""

    class Status(models.TextChoices):
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        STOPPED = "stopped", _("stopped")

    chosen = models.JSONField(default=dict)
    status = models.CharField(max_length=10, choices=Status, default=Status.RUNNING, editable=False)
    position = models.BigIntegerField(default=0)
    up_to = models.BigIntegerField()
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    moved_at = models.DateTimeField(auto_now=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        verbose_name = _("reading again")
        verbose_name_plural = _("readings again")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["id"], condition=Q(status="running"), name="rereading_running")
        ]

    def __str__(self) -> str:
        return f"{self.done}/{self.total}"


add_moves(
    Rereading,
    {
        "running": frozenset({"done", "stopped"}),
        "done": frozenset(),
        "stopped": frozenset({"running"}),
    },
)
add_moves(
    Receipt,
    {
        "received": frozenset({"processed", "ignored", "quarantined"}),
        "quarantined": frozenset({"received", "processed", "ignored"}),
        "ignored": frozenset({"received"}),
        "processed": frozenset({"received"}),
    },
)
