"""In: what was counted of a task, what a platform said of a robot. Out: rows that pages read.

Counting the calls of a large task takes longer than a page may; so a job counts, the page shows
what it found, and says how old it is.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from campaigns.models.accounts import Robot
from campaigns.models.tasks import Task


class TaskFigures(models.Model):
    """What was counted last of a task, or of the family that begins with it. Only numbers."""

    class Scope(models.TextChoices):
        TASK = "task", _("task")
        FAMILY = "family", _("family")

    task = models.ForeignKey(Task, models.CASCADE, db_index=False, related_name="figures")
    scope = models.CharField(max_length=6, choices=Scope, default=Scope.TASK)
    #: see ``campaigns.figures``; empty until it is counted for the first time
    figures = models.JSONField(default=dict)
    #: the moment that the figures are true of, and how long it took to find them
    counted_at = models.DateTimeField(null=True)
    seconds = models.FloatField(default=0)
    #: when somebody last looked at it
    wanted_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("figures of a task")
        verbose_name_plural = _("figures of tasks")
        default_permissions = ()  # shown on the task's page
        constraints = [
            models.UniqueConstraint(fields=["task", "scope"], name="one_row_of_figures_per_task")
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.task_id}"


class RobotVersion(models.Model):
    """What a platform said of a robot, from when it was first seen to when it said otherwise."""

    robot = models.ForeignKey(
        Robot, models.CASCADE, db_index=False, related_name="versions", verbose_name=_("robot")
    )
    number = models.PositiveIntegerField(_("version"))
    #: of the platform's words, without what changes by itself
    digest = models.CharField(max_length=64)
    #: the platform's words; see ``campaigns.versions``
    said = models.JSONField(default=dict)
    #: {field: [before, now]} against the version before
    changes = models.JSONField(_("changes"), default=dict)
    #: calls from then on are taken to be made with it, see ``versions.find_begin``
    begins_at = models.DateTimeField(_("from"))
    first_seen_at = models.DateTimeField(_("first seen"))
    last_seen_at = models.DateTimeField(_("last seen"))
    #: the platform's own word for when it was changed
    platform_updated_at = models.DateTimeField(_("changed at the platform"), null=True)

    class Meta:
        verbose_name = _("version of a robot")
        verbose_name_plural = _("versions of robots")
        default_permissions = ()  # shown on the robot's page
        ordering = ["robot_id", "number"]
        constraints = [
            models.UniqueConstraint(fields=["robot", "number"], name="one_version_per_number")
        ]

    def __str__(self) -> str:
        return f"{self.robot_id} v{self.number}"
