"""In: a task. Out: the platform is told to go on."""

from __future__ import annotations

from typing import Any

from campaigns.dispatch import resume_task
from campaigns.management.orders import OrderCommand
from campaigns.models import Task


class Command(OrderCommand):
    help = "Let a paused task go on."

    def give_order(self, task: Task) -> Any:
        return resume_task(task, by=None)
