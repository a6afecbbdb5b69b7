"""In: one move of one thing from one state to another. Out: a row an operator can read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

#: the place of a whole number in a sentence
_NUMBER = re.compile(r"%\((\w+)\)d")


class StatusChange(models.Model):
    """A move of a task, a batch, an attempt, a receipt, a recording or a single contact.

    ``subject`` is the model's name in lower case. ``reason`` is an English sentence, translated
    when it is shown, with ``values`` for its places.
    """

    subject = models.CharField(_("what"), max_length=20)
    subject_id = models.BigIntegerField(_("id"))
    old = models.CharField(_("from"), max_length=30)
    new = models.CharField(_("to"), max_length=30)
    reason = models.TextField(_("reason"), blank=True)
    values = models.JSONField(default=dict)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        db_index=False,
        verbose_name=_("by"),
    )
    at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        verbose_name = _("status change")
        verbose_name_plural = _("status changes")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["subject", "subject_id", "id"], name="history_subject"),
            # what notices are made of: few rows of few subjects
            models.Index(
                fields=["at"],
                condition=Q(subject__in=["task", "contactimport", "barlistimport"]),
                name="history_noticed",
            ),
            # nearly all of it was nobody's doing
            models.Index(fields=["by"], condition=Q(by__isnull=False), name="history_by"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} {self.subject_id}: {self.old} → {self.new}"

    @property
    def sentence(self) -> str:
        """The reason in the reader's language."""
        return tell_reason(self.reason, self.values)


def tell_reason(reason: str, values: dict[str, Any]) -> str:
    """An English sentence with places for values, in the reader's language."""
    if not reason:
        return ""
    return fill_in(gettext(reason), values) if values else gettext(reason)


def fill_in(text: str, values: Mapping[str, Any]) -> str:
    """``text % values``, the whole numbers of ``%(name)d`` with their groups: 10,001."""
    numbers = set(_NUMBER.findall(text))
    grouped = {name: f"{int(values[name]):,}" for name in numbers}
    return _NUMBER.sub(r"%(\1)s", text) % {**values, **grouped}
