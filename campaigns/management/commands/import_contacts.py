"""In: a task and a file of contacts. Out: contacts in the task, and what was not taken, and why."""

from __future__ import annotations

import codecs
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.management.base import CommandError
from django.utils.translation import gettext
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from campaigns.importing import ImportRefused, cancel_import, import_file, make_report
from campaigns.importing.sheets.names import clean_name
from campaigns.management.headless import HeadlessCommand, find_task
from campaigns.models import ContactImport

#: what is counted of the excluded ones
EXCLUDED = {
    "duplicate_file": N_("in this file twice"),
    "duplicate_task": N_("in this task already"),
    "duplicate_family": N_("in another task of the family"),
    "duplicate_days": N_("in another task of the last days"),
    "duplicate_account": N_("in another task of the account"),
    "barred": N_("on the do-not-call list"),
    "capped": N_("called as often as the account allows"),
}
#: {encoding: the one of ours that reads it as well}
SAME_ENCODINGS = {"gbk": "gb18030", "gb2312": "gb18030", "big5": "cp950", "iso8859-1": "cp1252"}
#: exit code when rows were rejected, whatever became of the others
SOME_REJECTED = 3


class Command(HeadlessCommand):
    help = (
        "Load the contacts of a file (CSV, TSV, XLSX, XLS) into a task. Exit code: 0 when every "
        "row is a contact now, excluded ones among them; 3 when rows were rejected; 1 when the "
        "file was refused and nothing of it loaded."
    )

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
        parser.add_argument(
            "--keep",
            action="append",
            default=[],
            metavar="HEADER",
            help="a column of the file that is none of the robot's and is kept with the contact",
        )
        parser.add_argument(
            "--duplicates",
            choices=ContactImport.Scope.values,
            default="family",
            help="where a number counts as a duplicate; each includes the ones before it",
        )
        parser.add_argument(
            "--days", type=int, metavar="N", help="with --duplicates days: of the last N days"
        )
        parser.add_argument(
            "--keep-row",
            choices=ContactImport.Keep.values,
            default="first",
            help="which of the file's rows with one number counts",
        )
        parser.add_argument(
            "--check-only", action="store_true", help="say what would be loaded, and load nothing"
        )
        parser.add_argument("--sheet", default="", help="of a workbook; default: found")
        parser.add_argument(
            "--encoding", default="", help="of a text, like gb18030; default: found"
        )
        parser.add_argument(
            "--delimiter", default="", help="of a text: , ; | or tab; default: found"
        )
        parser.add_argument(
            "--header-line", type=int, metavar="N", help="in which line it stands; default: found"
        )

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        task = find_task(options["task"])
        path = Path(options["file"])
        if (options["days"] is None) == (options["duplicates"] == "days"):
            raise CommandError(_("Give --duplicates days and --days together, or neither."))
        try:
            with path.open("rb") as file:
                done = import_file(
                    task,
                    File(file, name=path.name),
                    file_name=path.name,
                    mapping=read_mapping(options["map"]),
                    kept=options["keep"],
                    duplicates=options["duplicates"],
                    duplicate_days=options["days"],
                    keep_row=options["keep_row"],
                    reading=read_reading(options),
                    check_only=options["check_only"],
                    by=None,
                )
            report = make_report(done)
            if options["check_only"]:
                report |= tell_check(done)
                cancel_import(done)
        except ImportRefused as refusal:
            raise CommandError(str(refusal)) from None
        except OSError as error:
            raise CommandError(
                _("The file %(file)s cannot be read: %(reason)s.")
                % {"file": path, "reason": error.strerror or type(error).__name__}
            ) from None
        return report

    def choose_exit_code(self, answer: Mapping[str, Any]) -> int:
        return SOME_REJECTED if answer["counts"]["rejected"] else 0

    def describe(self, answer: Mapping[str, Any]) -> str:
        told = {**answer, "ready": answer["counts"]["ready"]}
        lines = [
            _(
                "Nothing was loaded. Of this file %(ready)s would be, %(excluded)s excluded, "
                "%(rejected)s rejected."
            )
            % told
            if answer.get("check_only")
            else _("%(loaded)s loaded, %(excluded)s excluded, %(rejected)s rejected.") % told,
            *(
                f"  {gettext(words)}: {answer['counts'][name]}"
                for name, words in EXCLUDED.items()
                if answer["counts"][name]
            ),
            *(
                _("  line %(line)s, %(column)s: %(reason)s") % row
                for row in answer["rejected_rows"]
            ),
        ]
        lines.extend(answer["notes"])
        if answer["same_file"]:
            imports = ", ".join(map(str, answer["same_file"]))
            lines.append(
                _("The same file was imported before: %(imports)s.") % {"imports": imports}
            )
        return "\n".join(lines)


def tell_check(checked: ContactImport) -> dict[str, Any]:
    """What stands in the report of an import that was not loaded."""
    counts = checked.counts
    excluded = sum(counts[name] for name in EXCLUDED)
    return {"excluded": excluded, "rejected": counts["rejected"], "check_only": True}


def read_reading(options: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody said about the file; the rest is found."""
    delimiter = options["delimiter"]
    told = {
        "encoding": find_encoding(options["encoding"]),
        "delimiter": "\t" if delimiter.casefold() in ("tab", "\\t") else delimiter,
        "sheet": clean_name(options["sheet"]),
        "header_line": options["header_line"],
    }
    return {name: value for name, value in told.items() if value}


def find_encoding(name: str) -> str:
    """The name that we have for what others call GBK, UTF8 or Windows-1252."""
    try:
        known = codecs.lookup(name).name if name else ""
    except (LookupError, ValueError):
        return name
    return SAME_ENCODINGS.get(known, known)


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
