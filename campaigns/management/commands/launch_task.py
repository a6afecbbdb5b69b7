"""In: a task. Out: launched: what it needs of the platform is done by the worker, step by step."""

from __future__ import annotations

from typing import Any

from campaigns.dispatch import launch_task
from campaigns.management.orders import OrderCommand
from campaigns.models import Task


class Command(OrderCommand):
    help = "Hand a task over to the platform and let it call."

    def give_order(self, task: Task) -> Any:
        return launch_task(task, by=None)
