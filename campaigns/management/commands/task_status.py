"""In: a task. Out: where it is, and how many of its contacts are in each state."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from campaigns.management.headless import HeadlessCommand, find_task
from campaigns.statistics import summarise_task


class Command(HeadlessCommand):
    help = "Show how far a task is."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("task", help="its id")

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        task = find_task(options["task"])
        summary = summarise_task(task)
        return {
            "id": task.pk,
            "status": task.status,
            "platform_status": task.platform_state,
            "contacts": dict(summary.contacts),
            "calls": summary.calls,
            "answered": summary.answered,
            "recordings": summary.recordings,
            "dialogs": summary.dialogs,
        }
