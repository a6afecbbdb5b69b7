"""In: an account. Out: its robots, lines and voices as the platform lists them now, mirrored."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from campaigns.catalog import sync_account
from campaigns.management.headless import HeadlessCommand, find_account


class Command(HeadlessCommand):
    help = "Mirror the robots, lines and voices of an account."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", help="its name (or id)")

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        counts = sync_account(find_account(options["account"]))
        return {"robots": counts.robots, "lines": counts.lines, "voices": counts.voices}

    def describe(self, answer: Mapping[str, Any]) -> str:
        return _("%(robots)s robots, %(lines)s lines, %(voices)s voices.") % answer
