"""In: how long an account's data is kept. Out: what was deleted because its time was over."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from campaigns.models.accounts import Account

#: a platform hands in for a week what it could not push: what was kept for less would come again
LEAST_PUSH_DAYS = 8
MOST_DAYS = 36_500


def days_field(name: str, *, least: int = 1) -> models.PositiveIntegerField:
    return models.PositiveIntegerField(
        name,
        null=True,
        blank=True,
        validators=[MinValueValidator(least), MaxValueValidator(MOST_DAYS)],
    )


class KeepRule(models.Model):
    """Shorter periods for the data of one account. Empty: as long as the installation keeps it;
    a longer one changes nothing."""

    account = models.OneToOneField(
        Account, models.CASCADE, related_name="keep_rule", verbose_name=_("account")
    )
    pushes_days = days_field(_("days that pushes are kept"), least=LEAST_PUSH_DAYS)
    exchanges_days = days_field(_("days that exchanges are kept"))
    dialogs_days = days_field(_("days that dialogs are kept"))
    recordings_days = days_field(_("days that recordings are kept"))
    contexts_days = days_field(_("days that callers' variables are kept"))

    class Meta:
        verbose_name = _("period of keeping")
        verbose_name_plural = _("periods of keeping")
        ordering = ["account__name"]

    def __str__(self) -> str:
        return str(self.account)


class Erasure(models.Model):
    """So many things of one kind were deleted because their time was over: the proof of it. What
    they were is not kept."""

    class Kind(models.TextChoices):
        PUSHES = "pushes", _("pushes")
        EXCHANGES = "exchanges", _("exchanges")
        DIALOGS = "dialogs", _("dialogs")
        RECORDINGS = "recordings", _("recordings")
        ANSWERS = "answers", _("answers to a platform")
        NOTES = "notes", _("summaries and notes of calls")
        CONTEXTS = "contexts", _("callers' variables")

    account = models.ForeignKey(Account, models.SET_NULL, null=True, verbose_name=_("account"))
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    number = models.PositiveIntegerField(_("deleted"))
    #: everything of them was older than this
    before = models.DateTimeField(_("older than"))
    at = models.DateTimeField(_("deleted on"), auto_now_add=True)

    class Meta:
        verbose_name = _("deletion")
        verbose_name_plural = _("deletions")
        ordering = ["-id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.number} {self.kind}"
