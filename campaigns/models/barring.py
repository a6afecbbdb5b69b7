"""In: who said no, and how. Out: the numbers that nobody calls, and the rules that add to them."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from campaigns.masking import mask_phone
from campaigns.models.accounts import Account, Robot
from campaigns.models.history import tell_reason


def name_list_file(list_import: BarListImport, file_name: str) -> str:
    """A path that nobody can guess."""
    return f"do-not-call/{secrets.token_hex(16)}"


class BarListImport(models.Model):
    """One file of numbers that nobody may call."""

    class Status(models.TextChoices):
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        UNDONE = "undone", _("taken back")

    account = models.ForeignKey(
        Account, models.CASCADE, null=True, blank=True, verbose_name=_("account"),
        help_text=_("Empty: for all accounts."),
    )  # fmt: skip
    file_name = models.CharField(_("file"), max_length=255)
    file = models.FileField(upload_to=name_list_file, blank=True, max_length=300)
    sha256 = models.CharField(max_length=64, blank=True)
    #: given to the entries whose row has none of its own
    reason_given = models.CharField(_("reason"), max_length=300, blank=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    status = models.CharField(
        _("status"), max_length=10, choices=Status, default=Status.RUNNING, editable=False
    )
    #: an English sentence with places for the values, translated when shown
    reason = models.TextField(_("problem"), blank=True, editable=False)
    reason_values = models.JSONField(default=dict, editable=False)
    added = models.PositiveIntegerField(_("added"), default=0)
    known = models.PositiveIntegerField(_("on the list already"), default=0)
    rejected = models.PositiveIntegerField(_("rejected"), default=0)
    #: [{"line", "column", "code", "reason", "value"}], the first ones; ``rejected`` counts all
    rejected_rows = models.JSONField(_("rejected rows"), default=list)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("by"),
    )

    class Meta:
        verbose_name = _("do-not-call import")
        verbose_name_plural = _("do-not-call imports")
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.file_name

    @property
    def reason_text(self) -> str:
        """The reason in the reader's language."""
        return tell_reason(self.reason, self.reason_values)


class DoNotCallRule(models.Model):
    """Whoever's call ends with this intention is not called again."""

    account = models.ForeignKey(Account, models.CASCADE, verbose_name=_("account"))
    robot = models.ForeignKey(
        Robot, models.CASCADE, null=True, blank=True, verbose_name=_("robot"),
        help_text=_("Empty: every robot of the account."),
    )  # fmt: skip
    intention = models.CharField(
        _("intention"),
        max_length=50,
        help_text=_("As the platform writes it; upper and lower case are the same."),
    )
    everywhere = models.BooleanField(_("for all accounts"), default=False)
    days = models.PositiveSmallIntegerField(
        _("days"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(3650)],
        help_text=_("For how long. Empty: for good."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("do-not-call rule")
        verbose_name_plural = _("do-not-call rules")
        ordering = ["account", "intention", "id"]

    def __str__(self) -> str:
        return f"{self.account}: {self.intention}"


class DoNotCall(models.Model):
    """A number that nobody calls, for one account or for all, while it is not lifted or expired.

    Rows are never deleted, but lifted, with who and why: what was forbidden when can be told.
    """

    class Source(models.TextChoices):
        MANUAL = "manual", _("entered")
        IMPORT = "import", _("imported")
        CALL = "call", _("from a call")
        RULE = "rule", _("by a rule")

    account = models.ForeignKey(
        Account, models.CASCADE, null=True, blank=True, verbose_name=_("account"),
        help_text=_("Empty: for all accounts."),
    )  # fmt: skip
    #: in normal form
    phone = models.CharField(_("phone"), max_length=20)
    source = models.CharField(_("source"), max_length=10, choices=Source, default=Source.MANUAL)
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    call = models.ForeignKey(
        "campaigns.Call", models.SET_NULL, null=True, related_name="+", verbose_name=_("call")
    )
    rule = models.ForeignKey(
        DoNotCallRule, models.SET_NULL, null=True, related_name="+", verbose_name=_("rule")
    )
    list_import = models.ForeignKey(
        BarListImport, models.SET_NULL, null=True, related_name="entries", verbose_name=_("import")
    )
    created_at = models.DateTimeField(_("since"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("by"),
    )
    expires_at = models.DateTimeField(
        _("expires"), null=True, blank=True, help_text=_("Empty: for good.")
    )
    lifted_at = models.DateTimeField(_("lifted"), null=True, editable=False)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("lifted by"),
    )
    lifted_reason = models.CharField(_("why lifted"), max_length=300, blank=True, editable=False)

    class Meta:
        verbose_name = _("do-not-call entry")
        verbose_name_plural = _("do not call")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["phone", "account"],
                condition=Q(lifted_at=None, account__isnull=False),
                name="one_bar_per_account",
            ),
            models.UniqueConstraint(
                fields=["phone"],
                condition=Q(lifted_at=None, account__isnull=True),
                name="one_bar_for_all",
            ),
        ]
        indexes = [models.Index(fields=["phone"], name="bar_phone")]

    def __str__(self) -> str:
        return mask_phone(self.phone)
