"""In: a task and a moment. Out: a hold while its day is spent, or its account stopped."""

from __future__ import annotations

from datetime import datetime

from campaigns.gates.hold import Hold
from campaigns.models import Task


def find_stopped(task: Task) -> Hold | None:
    """The hold of an account that the platform refused as a whole."""
    return None


def find_spent(task: Task, moment: datetime) -> Hold | None:
    """The hold of a task that had its contacts for today."""
    return None
