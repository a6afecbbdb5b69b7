"""In: an account that its platform refused, and is repaired. Out: what that had paused goes on."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from campaigns.dispatch import lift_stop
from campaigns.management.headless import HeadlessCommand, find_account


class Command(HeadlessCommand):
    help = "Say that the cause is repaired for which the platform refused a whole account."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", help="its name (or id)")

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        account = find_account(options["account"])
        if account.stopped_at is None:
            raise CommandError(_("The platform has not stopped this account."))
        return {"tasks": lift_stop(account, by=None)}

    def describe(self, answer: Mapping[str, Any]) -> str:
        return _("%(n)d tasks go on.") % {"n": len(answer["tasks"])}
