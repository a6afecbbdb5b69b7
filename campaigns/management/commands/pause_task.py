"""In: a task. Out: no new contact leaves from now on, and the platform is told to pause."""

from __future__ import annotations

from typing import Any

from campaigns.dispatch import pause_task
from campaigns.management.orders import OrderCommand
from campaigns.models import Task


class Command(OrderCommand):
    help = "Pause a task, here and at the platform."

    def give_order(self, task: Task) -> Any:
        return pause_task(task, by=None)
