"""In: a task. Out: no contact leaves any more, and the platform is told to delete it."""

from __future__ import annotations

from typing import Any

from campaigns.dispatch import delete_task
from campaigns.management.orders import OrderCommand
from campaigns.models import Task


class Command(OrderCommand):
    help = "Delete a task at the platform; what happened stays here."

    def give_order(self, task: Task) -> Any:
        return delete_task(task, by=None)
