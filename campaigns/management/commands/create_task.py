"""In: an account, a robot, lines and hours. Out: a draft task, or why it cannot be one."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from campaigns.drafting import (
    Draft,
    DraftRefused,
    WindowsUnreadable,
    create_draft,
    parse_windows,
)
from campaigns.management.headless import HeadlessCommand, describe_errors, find_account
from campaigns.models import Account


class Command(HeadlessCommand):
    help = "Create a task as a draft: nothing goes to the platform before it is launched."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", help="its name (or id)")
        parser.add_argument("--name", required=True)
        parser.add_argument("--robot", required=True, help="the platform's id of the robot")
        parser.add_argument(
            "--line",
            action="extend",
            nargs="+",
            default=[],
            help="numbers of lines; needed where the platform lets us choose",
        )
        parser.add_argument("--voice", help="the platform's code of the voice")
        parser.add_argument("--speed", type=int)
        parser.add_argument("--begin", help="ISO time; without a zone: the account's")
        parser.add_argument("--end", help="ISO time; without a zone: the account's")
        parser.add_argument("--windows", help="09:00-12:00,13:00-17:30 in the account's zone")
        parser.add_argument("--recall", type=int, default=0, help="how often to call again")
        parser.add_argument("--recall-wait", type=int, help="seconds before a recall")
        parser.add_argument(
            "--daily-cap", type=int, help="at most so many contacts on one day of the account's"
        )
        parser.add_argument("--turbo", action="store_true", help="the platform's fast mode")
        parser.add_argument(
            "--watch-folder",
            action="store_true",
            help="import the files in its folder while it is a draft; needs IMPORT_FOLDER",
        )

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        account = find_account(options["account"])
        try:
            windows = parse_windows(options["windows"] or "")
        except WindowsUnreadable as error:
            raise CommandError(str(error)) from None
        draft = Draft(
            account=account,
            name=options["name"],
            robot=find_mirrored(account, "robot", options["robot"]),
            lines=[find_mirrored(account, "line", line) for line in options["line"]],
            voice=find_mirrored(account, "voice", options["voice"]) if options["voice"] else None,
            speed=options["speed"],
            recall_count=options["recall"],
            recall_wait_seconds=options["recall_wait"],
            windows=windows,
            begin_at=read_time(options["begin"], account=account),
            end_at=read_time(options["end"], account=account),
            turbo=options["turbo"],
            watch_folder=options["watch_folder"],
            daily_cap=options["daily_cap"],
        )
        try:
            task = create_draft(draft, by=None)
        except DraftRefused as refusal:
            raise CommandError(describe_errors(refusal.errors)) from None
        return {"id": task.pk, "status": task.status}

    def describe(self, answer: Mapping[str, Any]) -> str:
        return _("Task %(id)s: %(status)s.") % answer


#: {option: (related rows, the platform's id of one, the refusal)}
MIRRORED = {
    "robot": (
        "robot_set",
        "platform_id",
        N_(
            "Account %(account)s has no robot “%(id)s”. Known: %(known)s. "
            "Run sync_account if it is new."
        ),
    ),
    "line": (
        "line_set",
        "number",
        N_(
            "Account %(account)s has no line “%(id)s”. Known: %(known)s. "
            "Run sync_account if it is new."
        ),
    ),
    "voice": (
        "voice_set",
        "code",
        N_(
            "Account %(account)s has no voice “%(id)s”. Known: %(known)s. "
            "Run sync_account if it is new."
        ),
    ),
}


def find_mirrored(account: Account, what: str, their_id: str) -> Any:
    rows_name, key, refusal = MIRRORED[what]
    rows = getattr(account, rows_name)
    row = rows.filter(**{key: their_id}).first()
    if row is None:
        known = ", ".join(rows.filter(gone_at=None).values_list(key, flat=True)[:20]) or "—"
        raise CommandError(_(refusal) % {"account": account.name, "id": their_id, "known": known})
    return row


def read_time(text: str | None, *, account: Account) -> datetime | None:
    if not text:
        return None
    try:
        moment = parse_datetime(text.strip())
    except ValueError:
        moment = None
    if moment is None:
        raise CommandError(
            _("“%(text)s” is not a time. Write it like 2026-01-31T09:00:00+08:00.") % {"text": text}
        )
    return moment if moment.tzinfo else moment.replace(tzinfo=account.zone)
