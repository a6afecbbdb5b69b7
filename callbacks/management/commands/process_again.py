"""In: which pushes. Out: these sent through again, as the button of the quarantine page does."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from callbacks import rereading
from campaigns.management.headless import HeadlessCommand, find_account


class Command(HeadlessCommand):
    help = "Process pushes again: all of a reason, kind, platform, account, of some days."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        states = (*rereading.ENDED, rereading.ALL)
        parser.add_argument("--status", choices=states, default="quarantined")
        parser.add_argument("--reason", help=_("the word that inbox_status prints"))
        parser.add_argument("--kind")
        parser.add_argument("--platform")
        parser.add_argument("--account", help=_("its name or number"))
        parser.add_argument("--from", dest="begin", metavar="YYYY-MM-DD")
        parser.add_argument("--to", dest="end", metavar="YYYY-MM-DD")

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        names = ("status", "reason", "kind", "platform", "begin", "end")
        chosen = {name: options[name] for name in names if options[name] is not None}
        if options["account"]:
            chosen["account"] = find_account(options["account"]).pk
        try:
            found = rereading.process_again(chosen)
        except rereading.NothingChosen as error:
            raise CommandError(
                _("“%(name)s” means nothing here. Days are written YYYY-MM-DD.") % {"name": error}
            ) from None
        if isinstance(found, int):
            return {"chosen": found, "again": found, "job": None}
        return {"chosen": found.total, "again": 0, "job": found.pk}
