"""In: an account and a file. Out: variables of people who may call in, and what was not taken."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from campaigns.importing import ImportRefused
from campaigns.importing.contexts import import_contexts
from campaigns.management.headless import HeadlessCommand, find_account
from campaigns.models import Robot

#: exit code when rows were rejected, whatever became of the others
SOME_REJECTED = 3


class Command(HeadlessCommand):
    help = (
        "Load the variables of people who may call in (CSV, TSV, XLSX, XLS): a column of relation "
        "ids, the others are the variables. Exit code: 0 when every row was taken; 3 when rows "
        "were rejected; 1 when the file was refused and nothing of it loaded."
    )

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", help="its id or name")
        parser.add_argument("file")
        parser.add_argument("--robot", default="", help="the platform's id; default: all robots")
        parser.add_argument("--id-column", default="", metavar="HEADER", help="default: found")
        parser.add_argument("--expires", default="", metavar="ISO", help="default: never")

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        account = find_account(options["account"])
        robot = None
        if options["robot"]:
            robot = Robot.objects.filter(account=account, platform_id=options["robot"]).first()
            if robot is None:
                raise CommandError(_("The account has no robot with this id."))
        expires_at = None
        if options["expires"]:
            try:
                expires_at = parse_datetime(options["expires"])
            except ValueError:
                expires_at = None
            if expires_at is None:
                raise CommandError(_("This is no date and time: write it like 2027-12-31T18:00."))
            if timezone.is_naive(expires_at):
                expires_at = expires_at.replace(tzinfo=account.zone)
        path = Path(options["file"])
        try:
            with path.open("rb") as file:
                done = import_contexts(
                    file,
                    account=account,
                    robot=robot,
                    file_name=path.name,
                    id_column=options["id_column"],
                    expires_at=expires_at,
                )
        except ImportRefused as refusal:
            raise CommandError(str(refusal)) from None
        except OSError as error:
            raise CommandError(
                _("The file %(file)s cannot be read: %(reason)s.")
                % {"file": path, "reason": error.strerror or type(error).__name__}
            ) from None
        return {
            "id": done.pk,
            "added": done.added,
            "updated": done.updated,
            "unchanged": done.unchanged,
            "rejected": done.rejected,
            "rejected_rows": [{**one, "reason": _(one["reason"])} for one in done.rejected_rows],
        }

    def choose_exit_code(self, answer: Mapping[str, Any]) -> int:
        return SOME_REJECTED if answer["rejected"] else 0

    def describe(self, answer: Mapping[str, Any]) -> str:
        told = _(
            "%(added)s added, %(updated)s updated, %(unchanged)s unchanged, %(rejected)s rejected."
        )
        rows = [
            _("  line %(line)s, %(column)s: %(reason)s") % row for row in answer["rejected_rows"]
        ]
        return "\n".join([told % answer, *rows])
