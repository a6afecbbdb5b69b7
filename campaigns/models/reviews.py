"""In: what people say about calls. Out: corrected intentions, remarks, and the review queue.

A platform's word is never overwritten: ``Call.intention`` stays what the platform said, whatever it
pushes later, and a ``Correction`` beside it is what a person heard.
"""

from __future__ import annotations

import secrets

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from campaigns.models.accounts import Robot
from campaigns.models.calls import Call


class Correction(models.Model):
    """The right intention of a call, in the opinion of a person. At most one is in force; the ones
    before it are kept."""

    call = models.ForeignKey(
        Call, models.CASCADE, related_name="corrections", verbose_name=_("call")
    )
    #: empty: there was none
    intention = models.CharField(_("right intention"), max_length=50, blank=True)
    #: what the platform said when it was corrected
    was = models.CharField(_("intention by the platform"), max_length=50, blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("corrected by"),
    )
    #: made by the review queue, from what its reviewers agreed about
    from_review = models.BooleanField(default=False)
    created_at = models.DateTimeField(_("corrected"), auto_now_add=True)
    #: replaced by another one, or taken back
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )

    class Meta:
        verbose_name = _("correction")
        verbose_name_plural = _("corrections")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["call"], condition=Q(withdrawn_at=None), name="one_correction_in_force"
            )
        ]
        indexes = [
            models.Index(
                fields=["intention", "call"],
                condition=Q(withdrawn_at=None),
                name="correction_in_force",
            )
        ]

    def __str__(self) -> str:
        return f"{self.was or '–'} → {self.intention or '–'}"


class Remark(models.Model):
    """What somebody wrote about a call. It stays as it was written."""

    call = models.ForeignKey(Call, models.CASCADE, related_name="remarks", verbose_name=_("call"))
    text = models.TextField(_("remark"), max_length=2000)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("by"),
    )
    created_at = models.DateTimeField(_("written"), auto_now_add=True)

    class Meta:
        verbose_name = _("remark")
        verbose_name_plural = _("remarks")
        ordering = ["id"]

    def __str__(self) -> str:
        return self.text[:60]


def make_seed() -> str:
    return secrets.token_hex(8)


class ReviewRule(models.Model):
    """Which calls people listen to: a random share of those that fit, or so many of each day.

    Which ones is decided by a hash of the seed and the call: drawing twice chooses the same calls.
    """

    name = models.CharField(_("name"), max_length=100, unique=True)
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("Only active rules draw calls.")
    )
    #: the parameters of ``criteria.read_criteria("call", …)``
    criteria = models.JSONField(_("which calls"), default=dict, blank=True)
    robots = models.ManyToManyField(
        Robot,
        blank=True,
        related_name="review_rules",
        verbose_name=_("robots"),
        help_text=_("Calls of these. None chosen: of every robot."),
    )
    percent = models.DecimalField(
        _("share in percent"),
        max_digits=5,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0.01), MaxValueValidator(100)],
        help_text=_("A random share of the calls that fit, drawn as they come."),
    )
    per_day = models.PositiveIntegerField(
        _("calls per day"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(5000)],
        help_text=_("So many of each day, chosen at random once the day is over."),
    )
    second_percent = models.PositiveSmallIntegerField(
        _("to a second reviewer, in percent"),
        default=10,
        validators=[MaxValueValidator(100)],
        help_text=_(
            "This share of the calls is judged by two people; the second does not see what the"
            " first said. Agreement is counted from them."
        ),
    )
    since = models.DateField(
        _("from the day"),
        default=timezone.localdate,
        help_text=_("Calls of earlier days are not drawn."),
    )
    seed = models.CharField(max_length=32, default=make_seed, editable=False)
    #: the last call that was looked at, by a share
    looked_through = models.BigIntegerField(default=0, editable=False)
    #: the same of its later looks at the same calls: {place of the look: call}
    looked_again = models.JSONField(default=dict, editable=False)
    #: the last day that was drawn from, by a number per day
    drawn_through = models.DateField(null=True, editable=False)
    drawn_at = models.DateTimeField(_("drawn"), null=True, editable=False)
    #: why nothing is drawn, an English sentence, translated when shown
    problem = models.TextField(_("problem"), blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False, related_name="+"
    )

    class Meta:
        verbose_name = _("review rule")
        verbose_name_plural = _("review rules")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(percent=None, per_day__isnull=False)
                | Q(percent__isnull=False, per_day=None),
                name="review_rule_share_or_number",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Review(models.Model):
    """A call that was drawn, to be judged by one person or by two."""

    rule = models.ForeignKey(
        ReviewRule, models.CASCADE, related_name="reviews", verbose_name=_("review rule")
    )
    call = models.ForeignKey(Call, models.CASCADE, related_name="reviews", verbose_name=_("call"))
    robot = models.ForeignKey(
        Robot, models.SET_NULL, null=True, related_name="reviews", verbose_name=_("robot")
    )
    #: what the platform said when the call was drawn: this is what is judged
    intention = models.CharField(_("intention by the platform"), max_length=50, blank=True)
    wanted = models.PositiveSmallIntegerField(_("reviewers"), default=1)
    missing = models.PositiveSmallIntegerField(_("judgements missing"), default=1)
    #: somebody has it before them until then
    held_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    held_until = models.DateTimeField(null=True)
    #: ids of users who do not want to judge it
    skipped_by = models.JSONField(default=list)
    drawn_at = models.DateTimeField(_("drawn"), auto_now_add=True)
    completed_at = models.DateTimeField(_("judged"), null=True)

    class Meta:
        verbose_name = _("review")
        verbose_name_plural = _("reviews")
        ordering = ["-id"]
        permissions = [("review_call", "Can judge calls in the review queue")]
        constraints = [
            models.UniqueConstraint(fields=["rule", "call"], name="one_review_per_rule_and_call")
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(missing__gt=0), name="review_waiting"),
            models.Index(
                fields=["rule", "completed_at"], condition=Q(missing=0), name="review_complete"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule}: {self.call_id}"


class Judgement(models.Model):
    """What one reviewer said of a call."""

    class Verdict(models.TextChoices):
        APPROVED = "approved", pgettext_lazy("review", "approved")
        REJECTED = "rejected", pgettext_lazy("review", "rejected")
        NOTED = "noted", pgettext_lazy("review", "noted")

    review = models.ForeignKey(
        Review, models.CASCADE, related_name="judgements", verbose_name=_("review")
    )
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="judgements",
        verbose_name=_("reviewer"),
    )
    #: 1: the first, 2: the second one, who did not see the first's
    place = models.PositiveSmallIntegerField()
    verdict = models.CharField(_("verdict"), max_length=10, choices=Verdict)
    #: what it should be; empty: none; None: the reviewer could not tell
    intention = models.CharField(_("right intention"), max_length=50, null=True, blank=True)
    note = models.TextField(_("note"), max_length=2000, blank=True)
    created_at = models.DateTimeField(_("judged"), auto_now_add=True)
    changed_at = models.DateTimeField(_("changed"), null=True)

    class Meta:
        verbose_name = _("judgement")
        verbose_name_plural = _("judgements")
        ordering = ["review", "place"]
        constraints = [
            models.UniqueConstraint(fields=["review", "reviewer"], name="one_judgement_each"),
            models.UniqueConstraint(fields=["review", "place"], name="one_judgement_per_place"),
        ]
        indexes = [models.Index(fields=["reviewer", "-created_at"], name="judgement_of")]

    def __str__(self) -> str:
        return f"{self.review_id}: {self.verdict}"
