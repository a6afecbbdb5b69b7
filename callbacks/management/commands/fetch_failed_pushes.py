"""In: an account, and a day if only one is meant. Out: the platform's failed pushes of it, fetched
and put into the inbox, now."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from callbacks import catching_up
from campaigns import failed_pushes
from campaigns.management.headless import HeadlessCommand, find_account
from campaigns.models import Account, FailedPushDay
from campaigns.platforms.contract import Can


class Command(HeadlessCommand):
    help = "Fetch the pushes that the platform could not deliver, of one day or all it lists."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", help="its name (or id)")
        parser.add_argument(
            "--day", metavar="YYYY-MM-DD", help="in the account's zone; without it: every day"
        )

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        account = find_account(options["account"])
        if not account.can(Can.LIST_FAILED_PUSHES):
            raise CommandError(account.explain(Can.LIST_FAILED_PUSHES))
        wanted = [read_day(options["day"])] if options["day"] else failed_pushes.list_days(account)
        told = [fetch_day(account, day) for day in wanted]
        names = ("files", "open", "failed", "objects", "new", "known", "odd")
        return {"days": told} | {name: sum(one[name] for one in told) for name in names}

    def describe(self, answer: Mapping[str, Any]) -> str:
        lines = [
            _("%(day)s: %(status)s, %(files)d files, %(objects)d pushes, %(new)d new. %(reason)s")
            % day
            for day in answer["days"]
        ]
        return "\n".join(line.rstrip() for line in lines)

    def choose_exit_code(self, answer: Mapping[str, Any]) -> int:
        """1 when something could not be fetched or read."""
        undone = any(day["status"] != "listed" for day in answer["days"])
        return int(undone or bool(answer["open"] or answer["failed"]))


def fetch_day(account: Account, day: date) -> dict[str, Any]:
    """What the jobs do about a day, one step after the other."""
    try:
        row = failed_pushes.ask_again(account, day)
    except failed_pushes.FailedPushRefused as refused:
        raise CommandError(str(refused)) from refused
    for file_id in failed_pushes.ask_day(row.pk) or ():
        if failed_pushes.fetch_file(file_id):
            while not catching_up.read_file(file_id):
                pass
    row = FailedPushDay.objects.get(pk=row.pk)
    reasons = [row.sentence, *(file.sentence for file in row.files.exclude(reason=""))]
    return {
        "day": f"{day:%Y-%m-%d}",
        "status": row.status,
        "reason": " ".join(dict.fromkeys(reason for reason in reasons if reason)),
        **asdict(failed_pushes.summarise_day(row)),
    }


def read_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise CommandError(_("A day is written like 2026-11-20.")) from None
