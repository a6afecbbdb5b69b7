"""In: what somebody wants to be told of. Out: rules, what happened, who was told in the console,
and what was told outside of it."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from campaigns.models.accounts import Account
from campaigns.models.fields import EncryptedSecrets
from campaigns.models.history import tell_reason
from campaigns.models.tasks import Task


def default_language() -> str:
    return str(settings.LANGUAGE_CODE)


class NoticeEvent(models.TextChoices):
    """What somebody can be told of."""

    TASK_DONE = "task_done", _("a task is done")
    TASK_STOPPED = "task_stopped", _("a task failed, or paused by itself")
    TASK_ATTENTION = "task_attention", _("a task that is under way needs attention")
    ANSWER_RATE = "answer_rate", _("the answer rate of a task is low")
    PLATFORM_SILENT = "platform_silent", _("a platform tells nothing any more")
    ACCOUNT_STOPPED = "account_stopped", _("a platform refuses an account (balance, lock)")
    ACCOUNT_BROKEN = "account_broken", _("a platform does not let us in")
    DECISION = "decision", _("a request needs a decision")
    APPROVAL = "approval", _("a second person is waited for")
    INCIDENT = "incident", _("an incident was opened")
    QUARANTINE = "quarantine", _("a push could not be understood")
    GAP = "gap", _("a platform leaves out what it should tell")
    IMPORT_FAILED = "import_failed", _("an import failed")
    IMPORT_DONE = "import_done", _("an import is done")
    EXPORT_READY = "export_ready", _("an export is ready")
    EXPORT_FAILED = "export_failed", _("an export failed")
    BULK_DONE = "bulk_done", _("what was done to many rows is over")
    DATABASE_HELD = "database_held", _("the database was restored and is held")


class NoticeHook(models.Model):
    """An address of somebody else's program that is told by a signed POST. The address may hold a
    secret of theirs, so it is kept as the secret is: encrypted, and never shown again."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    #: the address without its path: what may be shown of it
    shown = models.CharField(_("address"), max_length=300, editable=False)
    #: {"url", "secret", "previous"}; ``previous`` signs too until ``rotated_at`` is a day ago
    secrets = EncryptedSecrets(default=dict, blank=True, editable=False)
    language = models.CharField(
        _("language"),
        max_length=10,
        choices=settings.LANGUAGES,
        default=default_language,
        help_text=_("Of the sentence in it. All else is the same in every language."),
    )
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("Nothing is sent to it while it is not.")
    )
    rotated_at = models.DateTimeField(_("secret made"), null=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class NoticeRule(models.Model):
    """When this happens, these are told, in these ways."""

    event = models.CharField(_("event"), max_length=20, choices=NoticeEvent)
    name = models.CharField(_("name"), max_length=100, blank=True)
    account = models.ForeignKey(
        Account,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="notice_rules",
        verbose_name=_("account"),
        help_text=_("Empty: every account."),
    )
    task = models.ForeignKey(
        Task,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="notice_rules",
        verbose_name=_("task"),
        help_text=_("Empty: every task."),
    )
    #: of ``ANSWER_RATE``: below so many percent ...
    percent = models.PositiveSmallIntegerField(
        _("answer rate below"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=_("In percent."),
    )
    #: ... of so many calls
    sample = models.PositiveSmallIntegerField(
        _("of the last calls"),
        null=True,
        blank=True,
        validators=[MinValueValidator(10), MaxValueValidator(1000)],
        help_text=_(
            "Calls whose end is known, without invalid numbers. With fewer nothing is concluded."
        ),
    )

    everyone = models.BooleanField(
        _("everybody who may see it"),
        default=False,
        help_text=_("Also those who get that right later."),
    )
    groups = models.ManyToManyField(
        "auth.Group", blank=True, related_name="notice_rules", verbose_name=_("groups")
    )
    users = models.ManyToManyField(
        settings.AUTH_USER_MODEL, blank=True, related_name="notice_rules", verbose_name=_("users")
    )
    author = models.BooleanField(
        _("whose doing it is"),
        default=False,
        help_text=_("Who launched the task, gave the file, or asked for the export."),
    )
    by_bell = models.BooleanField(_("in the console (bell)"), default=True)
    by_email = models.BooleanField(
        _("by e-mail"), default=False, help_text=_("To those above who have an address here.")
    )
    #: more addresses, ["somebody@example.org", …]
    addresses = models.JSONField(_("further addresses"), default=list, blank=True)
    hooks = models.ManyToManyField(
        NoticeHook, blank=True, related_name="rules", verbose_name=_("webhooks")
    )
    language = models.CharField(
        _("language of the e-mails"),
        max_length=10,
        choices=settings.LANGUAGES,
        default=default_language,
    )
    is_active = models.BooleanField(_("active"), default=True)
    #: nothing that happened before this is told
    since = models.DateTimeField(_("since"), auto_now_add=True)
    #: everything up to here was looked at
    looked_at = models.DateTimeField(_("last looked"), null=True, editable=False)

    class Meta:
        verbose_name = _("notice rule")
        verbose_name_plural = _("notice rules")
        ordering = ["event", "id"]

    def __str__(self) -> str:
        return self.name or str(self.get_event_display())

    def clean(self) -> None:
        if self.event == NoticeEvent.ANSWER_RATE:
            missing = {
                name: _("An answer rate needs it.")
                for name in ("percent", "sample")
                if getattr(self, name) is None
            }
            if missing:
                raise ValidationError(missing)
        if self.task and self.account and self.task.account_id != self.account.pk:
            raise ValidationError({"task": _("This task is of another account.")})


class Notice(models.Model):
    """Something that happened, once: whichever rules tell of it, and to however many people.

    ``reason`` and the sentence of the event are English with places for their values, translated
    for who reads them. Nothing in it holds a phone number.
    """

    class Level(models.TextChoices):
        INFO = "info", _("information")
        WARN = "warn", _("worth a look")
        BAD = "bad", _("urgent")

    #: the same for the same occurrence, however often it is found
    key = models.CharField(max_length=200, unique=True)
    event = models.CharField(_("event"), max_length=20, choices=NoticeEvent)
    level = models.CharField(_("level"), max_length=4, choices=Level, default=Level.INFO)
    #: of what lasts: what it is about; one notice of it is open at a time
    condition = models.CharField(max_length=200, blank=True)
    account = models.ForeignKey(
        Account, models.CASCADE, null=True, related_name="notices", verbose_name=_("account")
    )
    task = models.ForeignKey(
        Task, models.CASCADE, null=True, related_name="notices", verbose_name=_("task")
    )
    #: the row that it is about: "campaigns.incident", 5
    subject = models.CharField(max_length=40, blank=True)
    subject_id = models.BigIntegerField(null=True)
    values = models.JSONField(default=dict)
    reason = models.TextField(_("reason"), blank=True)
    reason_values = models.JSONField(default=dict)
    happened_at = models.DateTimeField(_("since"))
    created_at = models.DateTimeField(_("noticed"), auto_now_add=True)
    ended_at = models.DateTimeField(_("over since"), null=True)
    rules = models.ManyToManyField(
        NoticeRule, through="NoticeMatch", related_name="notices", verbose_name=_("rules")
    )

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        ordering = ["-id"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["condition"],
                condition=Q(ended_at=None) & ~Q(condition=""),
                name="one_open_notice_per_condition",
            )
        ]
        indexes = [models.Index(fields=["created_at"], name="notice_created")]

    def __str__(self) -> str:
        return f"{self.get_event_display()} · {self.pk}"

    @property
    def reason_text(self) -> str:
        """More about it, in the reader's language."""
        return tell_reason(self.reason, self.reason_values)


class NoticeMatch(models.Model):
    """A rule has told of a notice, to all who were to be told."""

    rule = models.ForeignKey(NoticeRule, models.CASCADE, db_index=False, related_name="matches")
    notice = models.ForeignKey(Notice, models.CASCADE, related_name="matches")

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["rule", "notice"], name="one_match_per_rule")
        ]

    def __str__(self) -> str:
        return f"{self.rule_id}/{self.notice_id}"


class NoticeReader(models.Model):
    """A notice in somebody's bell."""

    notice = models.ForeignKey(Notice, models.CASCADE, related_name="readers")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, db_index=False, related_name="notices"
    )
    read_at = models.DateTimeField(_("read"), null=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["user", "notice"], name="one_notice_per_reader")
        ]
        indexes = [
            models.Index(fields=["user", "notice"], condition=Q(read_at=None), name="notice_unread")
        ]

    def __str__(self) -> str:
        return f"{self.user_id}/{self.notice_id}"


class NoticeDelivery(models.Model):
    """A notice on its way to an address outside of the console; without a notice it is a test.

    It is sent at least once: who is sent to knows a repeat by ``uuid``, which stays the same.
    """

    class Channel(models.TextChoices):
        EMAIL = "email", _("e-mail")
        HOOK = "hook", _("webhook")

    class Status(models.TextChoices):
        WAITING = "waiting", _("waiting")
        SENDING = "sending", _("sending")
        DELIVERED = "delivered", _("delivered")
        FAILED = "failed", _("failed")

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    notice = models.ForeignKey(
        Notice, models.CASCADE, null=True, related_name="deliveries", verbose_name=_("notice")
    )
    channel = models.CharField(_("way"), max_length=5, choices=Channel)
    hook = models.ForeignKey(
        NoticeHook, models.CASCADE, null=True, related_name="deliveries", verbose_name=_("webhook")
    )
    address = models.EmailField(_("recipient"), max_length=254, blank=True)
    language = models.CharField(max_length=10, blank=True)
    status = models.CharField(
        _("status"), max_length=9, choices=Status, default=Status.WAITING, editable=False
    )
    #: an English sentence with places for the values, translated when shown
    reason = models.TextField(_("reason"), blank=True, editable=False)
    reason_values = models.JSONField(default=dict, editable=False)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0, editable=False)
    next_try_at = models.DateTimeField(_("next try"), null=True, editable=False)
    #: until then nobody else sends it
    claimed_until = models.DateTimeField(null=True, editable=False)
    http_code = models.PositiveIntegerField(_("HTTP status"), null=True, editable=False)
    #: what the other side answered last, redacted
    answer = models.TextField(_("last answer"), blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    sent_at = models.DateTimeField(_("last sent"), null=True, editable=False)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["-id"]
        default_permissions = ("view", "change")
        constraints = [
            models.UniqueConstraint(
                fields=["notice", "hook"],
                condition=Q(hook__isnull=False, notice__isnull=False),
                name="one_delivery_per_hook",
            ),
            models.UniqueConstraint(
                fields=["notice", "address"],
                condition=~Q(address="") & Q(notice__isnull=False),
                name="one_delivery_per_address",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_try_at"],
                condition=Q(status__in=["waiting", "sending"]),
                name="notice_delivery_due",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_channel_display()} · {self.pk}"

    @property
    def reason_text(self) -> str:
        return tell_reason(self.reason, self.reason_values)
