"""In: which database this is. Out: one row by which a restored database is known, and held."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from campaigns.models.history import tell_reason


class Installation(models.Model):
    """The one row (id 1) that tells whether this database is the one that was written to last.

    While ``held_at`` is set nothing that adds calls leaves; see ``gates.restore``.
    """

    #: server, time line and database, as PostgreSQL names them; "" before the first look
    fingerprint = models.CharField(max_length=200, blank=True)
    held_at = models.DateTimeField(_("held since"), null=True)
    #: an English sentence with places for the values, translated when shown
    reason = models.TextField(_("reason"), blank=True)
    reason_values = models.JSONField(default=dict)
    #: tasks older than this may have gone further than this database knows
    restored_at = models.DateTimeField(_("restored"), null=True)
    released_at = models.DateTimeField(_("released"), null=True)
    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("released by"),
    )

    class Meta:
        verbose_name = _("installation")
        verbose_name_plural = _("installations")
        permissions = [("release_hold", "Can let calls go on after a database was restored")]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def sentence(self) -> str:
        """Why it is held, in the reader's language."""
        return tell_reason(self.reason, self.reason_values)
