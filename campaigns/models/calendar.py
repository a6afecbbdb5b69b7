"""In: days on which other hours hold. Out: what ``gates.hours`` looks at before a call."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from campaigns.models.accounts import Account, validate_region


class Holiday(models.Model):
    """A day on which nobody is called although it is a calling day, or the other way round.

    The day is that of the place: of the account's zone, and of the zone of the number's region.
    """

    day = models.DateField(_("day"))
    name = models.CharField(_("name"), max_length=100)
    region = models.CharField(
        _("region"),
        max_length=2,
        blank=True,
        validators=[validate_region],
        help_text=_("Two letters of a country, like CN. Empty: everywhere."),
    )
    account = models.ForeignKey(
        Account,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="holidays",
        verbose_name=_("account"),
        help_text=_("Empty: for all accounts."),
    )
    works = models.BooleanField(
        _("working day"),
        default=False,
        help_text=_("People may be called on it although it is no calling day of the week."),
    )

    class Meta:
        verbose_name = _("holiday")
        verbose_name_plural = _("holidays")
        ordering = ["day", "region", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["day", "region", "account"], name="one_holiday_per_day"
            ),
            models.UniqueConstraint(
                fields=["day", "region"],
                condition=Q(account=None),
                name="one_common_holiday_per_day",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.name}"
