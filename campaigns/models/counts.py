"""In: calls and contacts as they change. Out: how many there are of each kind, counted beforehand.

No page counts ten million rows. Calls are summed up by hour and by day of the project's time zone
(``settings.TIME_ZONE``): an hour begins where that zone's hour begins, so the hours of a day are
that day in zones of half hours too. Every row is counted from the calls themselves, never added to.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from campaigns.models.accounts import Account, Robot
from campaigns.models.tasks import Task


class CallCount(models.Model):
    """Calls that are equal in all that is asked for; what the sums mean says ``definitions``."""

    # Rows of what was deleted meanwhile are counted anew: its calls changed.
    account = models.ForeignKey(
        Account, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    task = models.ForeignKey(
        Task,
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    robot = models.ForeignKey(
        Robot,
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    direction = models.CharField(max_length=10, blank=True)
    result = models.CharField(max_length=20)
    intention = models.CharField(max_length=50, blank=True)

    calls = models.IntegerField()
    answered = models.IntegerField()
    reached = models.IntegerField()
    #: how they ended is not known yet
    unknown = models.IntegerField()
    #: of the people reached: those whose length is known, those who talked, and the sum of it
    timed = models.IntegerField()
    talked = models.IntegerField()
    talk_seconds = models.BigIntegerField()

    class Meta:
        abstract = True


def _name_kinds(moment: str) -> list[Any]:
    none = Value(0, models.BigIntegerField())
    return [
        *(moment, "account", Coalesce("task", none), Coalesce("robot", none)),
        *("direction", "result", "intention"),
    ]


class CallHour(CallCount):
    begins_at = models.DateTimeField()

    class Meta:
        verbose_name = _("calls of an hour")
        verbose_name_plural = _("calls by hour")
        default_permissions = ()
        constraints = [models.UniqueConstraint(*_name_kinds("begins_at"), name="one_count_an_hour")]

    def __str__(self) -> str:
        return f"{self.begins_at:%Y-%m-%d %H:%M} {self.result}"


class CallDay(CallCount):
    day = models.DateField()

    class Meta:
        verbose_name = _("calls of a day")
        verbose_name_plural = _("calls by day")
        default_permissions = ()
        constraints = [models.UniqueConstraint(*_name_kinds("day"), name="one_count_a_day")]
        indexes = [
            models.Index(fields=["task", "day"], name="callday_task", condition=~Q(task=None)),
            models.Index(fields=["robot", "day"], name="callday_robot", condition=~Q(robot=None)),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.result}"


class CallMark(models.Model):
    """Something that is counted changed there. Written by triggers on the calls, one row for each
    quarter of an hour, account and task that a statement changed; taken away by who counts."""

    account_id = models.BigIntegerField()
    begins_at = models.DateTimeField()
    task_id = models.BigIntegerField(null=True)

    class Meta:
        verbose_name = _("calls to be counted")
        verbose_name_plural = _("calls to be counted")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.account_id} {self.begins_at:%Y-%m-%d %H:%M}"


class CountState(models.Model):
    """The one row (id 1) of who counts: up to when, in which zone, and how long it took."""

    counted_at = models.DateTimeField(null=True)
    took_ms = models.PositiveIntegerField(default=0)
    zone = models.CharField(max_length=64, blank=True)
    #: everything was last counted anew
    whole_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("state of counting")
        verbose_name_plural = _("states of counting")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.pk)


class TaskCount(models.Model):
    """How many contacts of a task are in which state, and when its calls last changed."""

    task = models.OneToOneField(
        Task, models.CASCADE, primary_key=True, related_name="count", verbose_name=_("task")
    )
    #: {state: contacts}, every state present; {} before the first count
    contacts = models.JSONField(default=dict)
    #: contacts that the platform took a day ago and longer, and never said a word about
    silent = models.PositiveIntegerField(default=0)
    counted_at = models.DateTimeField(null=True)
    took_ms = models.PositiveIntegerField(default=0)
    calls_changed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("numbers of a task")
        verbose_name_plural = _("numbers of tasks")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.pk)
