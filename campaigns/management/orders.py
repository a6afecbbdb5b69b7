"""In: a task's id and an order. Out: the order given, by the function that the button calls."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from campaigns.dispatch import LaunchRefused
from campaigns.management.headless import HeadlessCommand, find_task
from campaigns.models import Task


class OrderCommand(HeadlessCommand):
    """Launch, pause, resume and delete differ only in the function."""

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("task", help="its id")

    def give_order(self, task: Task) -> Any:
        raise NotImplementedError

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        task = find_task(options["task"])
        try:
            self.give_order(task)
        except LaunchRefused as refusal:
            raise CommandError(str(refusal)) from None
        task.refresh_from_db()
        return {"id": task.pk, "status": task.status}

    def describe(self, answer: Mapping[str, Any]) -> str:
        return _("Task %(id)s: %(status)s.") % answer
