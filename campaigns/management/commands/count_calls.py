"""In: the calls. Out: the numbers of the screens up to date or, with --all, counted anew."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from campaigns import counting
from campaigns.management.headless import HeadlessCommand


class Command(HeadlessCommand):
    help = "Bring the counted numbers of calls up to date (the worker does so every five seconds)."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--all", action="store_true", help="count every call anew")

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        counted = counting.count_all() if options["all"] else counting.count_marked()
        return {"hours": counted.hours, "tasks": counting.count_tasks()}
