"""In: tasks that were made of other tasks. Out: of which, by whom, of whose choice, and why.

A ``Redial`` chooses people of what was called already and makes a draft of them; an ``Experiment``
parts the contacts of a draft between two robots or voices. Statuses are written by
``campaigns.lifecycle`` alone.
"""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from campaigns.models.accounts import Robot, Voice
from campaigns.models.history import tell_reason
from campaigns.models.tasks import Task


class Redial(models.Model):
    """People of one family of tasks, chosen by what came of them, and the draft made of them."""

    class Status(models.TextChoices):
        COUNTING = "counting", _("being counted")
        COUNTED = "counted", pgettext_lazy("re-dial", "counted")
        MAKING = "making", _("draft being made")
        MADE = "made", _("draft made")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("given up")

    class Kind(models.TextChoices):
        """Of which rows the criteria speak."""

        CALLS = "calls", _("calls")
        CONTACTS = "contacts", _("contacts")

    #: a job works on it
    BUSY = ("counting", "making")

    kind = models.CharField(_("chosen by"), max_length=10, choices=Kind)
    #: as ``campaigns.criteria`` reads them: nothing in it is shown unmasked
    params = models.JSONField(_("criteria"), default=dict)
    #: only whom the newest call, or row, of the family still fits
    newest_only = models.BooleanField(_("the newest counts"), default=True)
    #: the first task of the family; until it is chosen, the only one there is
    family = models.ForeignKey(
        Task, models.CASCADE, null=True, related_name="+", verbose_name=_("family")
    )

    # the draft that is wanted
    name = models.CharField(_("name"), max_length=100, blank=True)
    robot = models.ForeignKey(
        Robot, models.PROTECT, null=True, related_name="+", verbose_name=_("robot")
    )
    #: {column of the robot: column of the rows}
    mapping = models.JSONField(_("columns"), default=dict)

    status = models.CharField(
        _("status"), max_length=10, choices=Status, default=Status.COUNTING, editable=False
    )
    #: an English sentence with places for the values, translated when shown
    reason = models.TextField(_("reason"), blank=True, editable=False)
    reason_values = models.JSONField(default=dict, editable=False)
    #: {"rows", "people", "chosen", "left_out": {why: people}, "families": [...], ...}
    counts = models.JSONField(default=dict, editable=False)
    progress = models.BigIntegerField(default=0, editable=False)
    progress_end = models.BigIntegerField(default=0, editable=False)
    #: the last sign of life of the job
    progress_at = models.DateTimeField(null=True, editable=False)
    tries = models.PositiveSmallIntegerField(default=0, editable=False)

    task = models.OneToOneField(
        Task, models.SET_NULL, null=True, related_name="redial", verbose_name=_("draft")
    )
    #: the tasks whose people are in it
    sources = models.ManyToManyField(Task, related_name="redialled_by", verbose_name=_("tasks"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("by"),
    )
    counted_at = models.DateTimeField(_("counted"), null=True, editable=False)
    ended_at = models.DateTimeField(_("ended"), null=True, editable=False)

    class Meta:
        verbose_name = _("re-dial")
        verbose_name_plural = _("re-dials")
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["status"],
                condition=Q(status__in=["counting", "making"]),
                name="redial_busy",
            )
        ]

    def __str__(self) -> str:
        return self.name or f"#{self.pk}"

    @property
    def reason_text(self) -> str:
        """The reason in the reader's language."""
        return tell_reason(self.reason, self.reason_values)


class Experiment(models.Model):
    """A draft whose contacts were parted by chance between two tasks: A keeps the draft's robot and
    voice, B has another. Nobody is in both: a row is in one task, and a number in one group."""

    class Status(models.TextChoices):
        SPLITTING = "splitting", _("being parted")
        SPLIT = "split", _("parted")
        FAILED = "failed", _("failed")

    class Measure(models.TextChoices):
        REACHED = "reached", _("people reached")
        TALKED = "talked", _("people who talked")
        INTENTION = "intention", pgettext_lazy("measure", "an intention")

    name = models.CharField(_("name"), max_length=100)
    first = models.ForeignKey(
        Task, models.CASCADE, related_name="experiments_as_first", verbose_name=_("task A")
    )
    second = models.ForeignKey(
        Task,
        models.CASCADE,
        null=True,
        related_name="experiments_as_second",
        verbose_name=_("task B"),
    )
    robot = models.ForeignKey(Robot, models.PROTECT, related_name="+", verbose_name=_("robot of B"))
    voice = models.ForeignKey(
        Voice, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("voice of B")
    )
    #: {column of B's robot: column of the rows}
    mapping = models.JSONField(_("columns"), default=dict)
    #: with it and a number, anybody can find out in which group the number is
    seed = models.CharField(_("seed"), max_length=32)
    share = models.PositiveSmallIntegerField(
        _("percent of B"),
        default=50,
        validators=[MinValueValidator(1), MaxValueValidator(99)],
    )
    measure = models.CharField(
        _("decided by"), max_length=10, choices=Measure, default=Measure.REACHED
    )
    measure_intention = models.CharField(_("intention"), max_length=50, blank=True)

    status = models.CharField(
        _("status"), max_length=10, choices=Status, default=Status.SPLITTING, editable=False
    )
    #: an English sentence with places for the values, translated when shown
    reason = models.TextField(_("reason"), blank=True, editable=False)
    reason_values = models.JSONField(default=dict, editable=False)
    #: {"first": {...}, "second": {...}}: see ``campaigns.experiments``
    counts = models.JSONField(default=dict, editable=False)
    counted_at = models.DateTimeField(_("counted"), null=True, editable=False)
    split_at = models.DateTimeField(_("parted"), null=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("by"),
    )

    class Meta:
        verbose_name = _("experiment")
        verbose_name_plural = _("experiments")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["first"],
                condition=Q(status__in=["splitting", "split"]),
                name="one_experiment_per_task",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def reason_text(self) -> str:
        """The reason in the reader's language."""
        return tell_reason(self.reason, self.reason_values)
