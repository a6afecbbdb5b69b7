"""In: a task and a CSV file. Out: contacts in the task, and what was not taken, and why."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from campaigns.importing import ImportRefused, import_file, make_report
from campaigns.management.headless import HeadlessCommand, find_task


class Command(HeadlessCommand):
    help = "Load the contacts of a CSV file into a task."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("task", help="its id")
        parser.add_argument("file")
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="COLUMN=HEADER",
            help="which column of the file holds a column of the robot",
        )

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        task = find_task(options["task"])
        path = Path(options["file"])
        try:
            with path.open("rb") as file:
                done = import_file(
                    task,
                    File(file, name=path.name),
                    file_name=path.name,
                    mapping=read_mapping(options["map"]),
                    by=None,
                )
        except ImportRefused as refusal:
            raise CommandError(str(refusal)) from None
        except OSError as error:
            raise CommandError(
                _("The file %(file)s cannot be read: %(reason)s.")
                % {"file": path, "reason": error.strerror or type(error).__name__}
            ) from None
        return make_report(done)

    def describe(self, answer: Mapping[str, Any]) -> str:
        lines = [
            _("%(loaded)s loaded, %(excluded)s excluded, %(rejected)s rejected.") % answer,
            *(
                _("  line %(line)s, %(column)s: %(reason)s") % row
                for row in answer["rejected_rows"]
            ),
        ]
        return "\n".join(lines)


def read_mapping(texts: list[str]) -> dict[str, str] | None:
    """{column of the robot: header of the file}; None leaves it to the names."""
    mapping = {}
    for text in texts:
        column, equals, header = text.partition("=")
        if not equals:
            raise CommandError(
                _("--map must look like COLUMN=HEADER, not “%(text)s”.") % {"text": text}
            )
        mapping[column.strip()] = header.strip()
    return mapping or None
