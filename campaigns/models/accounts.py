"""In: what an operator configured and what a platform told of itself. Out: rows that others read.

Account (our login at a platform), its token and callback tokens, the mirrored robots, lines and
voices, and the redacted record of every exchange.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import phonenumbers
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, URLValidator
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from campaigns.models.fields import EncryptedSecrets
from campaigns.platforms.contract import UNVERIFIED_SETTING, Can, Platform
from campaigns.platforms.registry import PLATFORMS, get_platform
from campaigns.wording import tell_outcome


def list_platforms() -> list[tuple[str, str]]:
    return [(platform.slug, platform.name) for platform in PLATFORMS.values()]


def validate_region(value: str) -> None:
    if value not in phonenumbers.SUPPORTED_REGIONS:
        raise ValidationError(
            _("“%(value)s” is no region: use the two letters of a country, like CN."),
            params={"value": value},
        )


def validate_time_zone(value: str) -> None:
    if value not in available_timezones():
        raise ValidationError(_("“%(value)s” is not a time zone."), params={"value": value})


#: what an account without a limit of its own is taken to bear, once the platform was busy
UNLIMITED = 200.0
#: the share of the limit that a slowed account wins back in each second without a busy answer
RECOVERY = 0.01


def default_settings() -> dict[str, str]:
    return {}


def all_days() -> list[int]:
    return [1, 2, 3, 4, 5, 6, 7]


class Account(models.Model):
    """Our login at one platform."""

    platform = models.CharField(_("platform"), max_length=32, choices=list_platforms)
    name = models.CharField(_("name"), max_length=100, unique=True)
    base_url = models.CharField(
        _("base URL"),
        max_length=300,
        blank=True,
        validators=[URLValidator(schemes=["http", "https"])],
        help_text=_("The address that the platform's calls begin with."),
    )
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        default="Asia/Shanghai",
        validators=[validate_time_zone],
        help_text=_("Times that the platform gives without a zone are read in it."),
    )
    region = models.CharField(
        _("region"),
        max_length=2,
        default="CN",
        validators=[validate_region],
        help_text=_("Numbers without a country are read as numbers of this one."),
    )
    cap_calls = models.PositiveSmallIntegerField(
        _("calls to one number"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text=_("At most so many, over all tasks of the account. Empty: no limit."),
    )
    cap_days = models.PositiveSmallIntegerField(
        _("within days"),
        default=7,
        validators=[MinValueValidator(1), MaxValueValidator(366)],
        help_text=_("Counted back from the moment of the call."),
    )
    #: [["09:00:00", "12:00:00"], …], local times; one that ends before it begins crosses midnight
    call_hours = models.JSONField(
        _("calling hours"),
        default=list,
        blank=True,
        help_text=_(
            "Nobody is called outside of them, by the account's zone and by the zone of the"
            " number's region. Empty: only the tasks' own windows hold."
        ),
    )
    #: days of the week, 1 is Monday
    call_days = models.JSONField(_("calling days"), default=all_days, blank=True)
    keeps_holidays = models.BooleanField(
        _("keeps holidays"),
        default=True,
        help_text=_("Nobody is called on the days in the table of holidays."),
    )
    failure_percent = models.PositiveSmallIntegerField(
        _("pause at failures of"),
        null=True,
        blank=True,
        default=50,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=_(
            "In percent of a task's last calls or requests. A task that fails so often pauses"
            " itself. Empty: never."
        ),
    )
    failure_sample = models.PositiveSmallIntegerField(
        _("among the last"),
        default=50,
        validators=[MinValueValidator(5), MaxValueValidator(1000)],
        help_text=_("So many calls are looked at; with fewer nothing is concluded."),
    )
    settings = models.JSONField(_("settings"), default=default_settings, blank=True)
    credentials = EncryptedSecrets(_("credentials"), default=dict, blank=True, editable=False)
    is_active = models.BooleanField(
        _("active"),
        default=True,
        help_text=_("Nothing is sent for an account that is not active; pushes are still taken."),
    )
    rate_limit = models.PositiveIntegerField(
        _("requests per second"),
        default=20,
        help_text=_("At most this many requests per second go to the platform, over all workers."),
    )
    #: moment from which the next request may leave; moved by every sender, see connections.py
    next_request_at = models.DateTimeField(null=True, editable=False)
    #: moment from which the next request that adds calls may leave: later, while it is slowed
    next_call_at = models.DateTimeField(null=True, editable=False)
    #: requests that add calls per second, as of the moment when the platform was busy last; they
    #: become more from there, see ``find_pace``. None: the rate limit holds
    slowed_to = models.FloatField(null=True, editable=False)
    slowed_at = models.DateTimeField(null=True, editable=False)
    #: the platform refused the whole account (no balance, locked out); nothing that adds calls
    #: leaves until a person says that the cause is repaired
    stopped_at = models.DateTimeField(_("stopped"), null=True, editable=False)
    stopped_reason = models.TextField(_("reason"), blank=True, editable=False)
    #: the platform itself said so with its last reply, see connections.py
    is_sandbox = models.BooleanField(_("sandbox"), default=False, editable=False)
    callback_urls = models.JSONField(
        _("addresses the platform uses"), default=dict, blank=True, editable=False
    )
    connection_checked_at = models.DateTimeField(_("connection tested"), null=True, editable=False)
    connection_error = models.TextField(_("connection problem"), blank=True, editable=False)
    synced_at = models.DateTimeField(_("synchronised"), null=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Whoever answers at a new address has not said yet that it only pretends."""
        fields = kwargs.get("update_fields")
        if self.pk is not None and (fields is None or "base_url" in fields):
            moved = Account.objects.filter(pk=self.pk).exclude(base_url=self.base_url)
            if moved.exists():
                self.is_sandbox = False
                if fields is not None:
                    kwargs["update_fields"] = {*fields, "is_sandbox"}
        super().save(*args, **kwargs)

    def find_pace(self, now: datetime) -> float | None:
        """Requests that add calls per second while the platform is too busy for more; None when the
        rate limit alone holds. ``connections.wait_for_turn`` says the same in SQL."""
        if self.slowed_to is None or self.slowed_at is None:
            return None
        limit = self.rate_limit or UNLIMITED
        pace = self.slowed_to + limit * RECOVERY * (now - self.slowed_at).total_seconds()
        return pace if pace < limit else None

    @property
    def vendor(self) -> Platform:
        return get_platform(self.platform)

    def can(self, ability: Can) -> bool:
        """Whether the platform can do this, as far as it may be used for this account."""
        vendor = self.vendor
        if ability in vendor.unverified and self.get_setting(UNVERIFIED_SETTING) != "on":
            return False
        return ability in vendor.can

    def explain(self, ability: Can) -> str:
        """Why ``can`` says no, for an operator."""
        if ability in self.vendor.unverified:
            return gettext(
                "What we know of this comes from others' programs, not from the platform's own"
                " text. Switch it on in the account's settings once you have tried it."
            )
        return gettext("This platform does not offer that, or no text of it is known to us.")

    def clean(self) -> None:
        """A platform that we call needs an address; one that only pushes has none."""
        vendor = PLATFORMS.get(self.platform)
        if vendor is not None and vendor.connect is not None and not self.base_url:
            raise ValidationError({"base_url": _("This platform is called at an address.")})

    @property
    def zone(self) -> ZoneInfo:
        """The clock that its times are shown and told by; UTC where none is known under its name.

        Whether somebody may be called is not decided by it: ``gates.hours`` reads the name itself,
        and forbids what it does not know. Pauses, deletions and questions have to leave all the
        same.
        """
        try:
            return ZoneInfo(self.time_zone)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            return ZoneInfo("UTC")

    def get_setting(self, name: str) -> str:
        """A setting of the account, or the platform's default for it."""
        value = self.settings.get(name)
        if isinstance(value, str) and value:
            return value
        return next((field.default for field in self.vendor.settings if field.name == name), "")


class AccountToken(models.Model):
    """The platform's token of an account. The row is the lock: one fetch at a time."""

    account = models.OneToOneField(Account, models.CASCADE, related_name="token")
    value = EncryptedSecrets(default=dict)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("platform token")
        verbose_name_plural = _("platform tokens")


def hash_token(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


class CallbackToken(models.Model):
    """The secret part of an account's callback address, kept as a hash. Two live for rotation."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="callback_tokens")
    hash = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(_("ends with"), max_length=8, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        verbose_name = _("callback token")
        verbose_name_plural = _("callback tokens")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"…{self.hint}"

    @classmethod
    def make(cls, account: Account) -> tuple[CallbackToken, str]:
        """A new token of 256 bits; its text is returned this once and never again.

        At most two live at a time: the older ones are revoked.
        """
        text = secrets.token_urlsafe(32)
        token = cls.objects.create(account=account, hash=hash_token(text), hint=text[-4:])
        live = account.callback_tokens.filter(revoked_at=None).order_by("-created_at", "-id")
        for stale in live[2:]:  # row by row: each is a line of the history
            stale.revoked_at = token.created_at
            stale.save(update_fields=["revoked_at"])
        return token, text


class Mirrored(models.Model):
    """Something that a platform lists. It is never deleted here: ``gone_at`` tells since when the
    platform lists it no more."""

    account = models.ForeignKey(Account, models.CASCADE, verbose_name=_("account"))
    seen_at = models.DateTimeField(_("last seen"), null=True, editable=False)
    gone_at = models.DateTimeField(_("gone since"), null=True, editable=False)
    raw = models.JSONField(_("as the platform sent it"), default=dict, editable=False)

    class Meta:
        abstract = True


class Robot(Mirrored):
    """A call script."""

    class State(models.TextChoices):
        REVIEWING = "reviewing", _("in review")
        REFUSED = "refused", _("refused")
        UNPUBLISHED = "unpublished", _("not published")
        PUBLISHED = "published", _("published")
        UNKNOWN = "unknown", _("unknown")

    class Kind(models.TextChoices):
        ORDINARY = "ordinary", _("ordinary")
        DYNAMIC = "dynamic", _("dynamic")
        UNKNOWN = "unknown", _("unknown")

    platform_id = models.CharField(_("platform id"), max_length=100)
    name = models.CharField(_("name"), max_length=200)
    columns = models.JSONField(_("columns"), default=list)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.UNKNOWN)
    platform_state = models.CharField(_("platform's state"), max_length=50, blank=True)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind, default=Kind.UNKNOWN)
    deleted = models.BooleanField(_("deleted at the platform"), default=False)
    platform_created_at = models.DateTimeField(_("created at the platform"), null=True)
    platform_updated_at = models.DateTimeField(_("changed at the platform"), null=True)

    class Meta:
        verbose_name = _("robot")
        verbose_name_plural = _("robots")
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "platform_id"], name="one_robot_per_id")
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.platform_id})"

    @property
    def is_usable(self) -> bool:
        return self.state == self.State.PUBLISHED and not self.deleted and self.gone_at is None


class Line(Mirrored):
    """An outgoing number."""

    class State(models.TextChoices):
        IDLE = "idle", _("idle")
        BUSY = "busy", _("used by a task")
        UNKNOWN = "unknown", _("unknown")

    number = models.CharField(_("number"), max_length=64)
    concurrency = models.PositiveIntegerField(_("concurrent calls"), null=True)
    #: [["09:00:00", "12:00:00"], …] in the account's zone; [] when the platform does not say
    hours = models.JSONField(_("working hours"), default=list)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.UNKNOWN)
    platform_state = models.CharField(_("platform's state"), max_length=50, blank=True)
    applied_at = models.DateTimeField(_("applied for"), null=True)
    expires_at = models.DateTimeField(_("expires"), null=True)

    class Meta:
        verbose_name = _("line")
        verbose_name_plural = _("lines")
        ordering = ["number", "id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "number"], name="one_line_per_number")
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def windows(self) -> list[tuple[time, time]]:
        return [(time.fromisoformat(begin), time.fromisoformat(end)) for begin, end in self.hours]


class Voice(Mirrored):
    """A voice that a robot can speak with."""

    code = models.CharField(_("code"), max_length=64)
    name = models.CharField(_("name"), max_length=100)

    class Meta:
        verbose_name = _("voice")
        verbose_name_plural = _("voices")
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "code"], name="one_voice_per_code")
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"


class Exchange(models.Model):
    """One request to a platform and its answer, redacted before it came here."""

    #: an index of its own would be the beginning of another one; so of the task
    account = models.ForeignKey(
        Account,
        models.CASCADE,
        db_index=False,
        related_name="exchanges",
        verbose_name=_("account"),
    )
    task = models.ForeignKey(
        "campaigns.Task",
        models.SET_NULL,
        null=True,
        db_index=False,
        related_name="exchanges",
        verbose_name=_("task"),
    )
    purpose = models.CharField(_("purpose"), max_length=50)
    method = models.CharField(_("method"), max_length=8)
    url = models.TextField(_("address"))
    request = models.TextField(_("request"), blank=True)
    http_code = models.PositiveIntegerField(_("HTTP status"), null=True)
    response = models.TextField(_("answer"), blank=True)
    outcome = models.CharField(_("outcome"), max_length=30)
    #: the request that adds calls which this was, or which it asks about
    attempt = models.ForeignKey(
        "campaigns.Attempt",
        models.SET_NULL,
        null=True,
        related_name="exchanges",
        verbose_name=_("request"),
    )
    started_at = models.DateTimeField(_("sent"))
    seconds = models.FloatField(_("seconds"))

    class Meta:
        verbose_name = _("exchange")
        verbose_name_plural = _("exchanges")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["account", "-id"], name="exchange_account"),
            models.Index(fields=["task", "-id"], name="exchange_task"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.http_code or '—'}"

    @property
    def outcome_text(self) -> str:
        """What went wrong, in the reader's language."""
        return tell_outcome(self.outcome)
