"""In: a command line. Out: readable text, or one JSON object with ``--json``, or a refusal.

The base of the headless commands. They call the functions that the buttons of the admin call.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, ProgrammingError
from django.utils.translation import gettext as _

from campaigns.catalog import describe_error
from campaigns.models import Account, Task
from campaigns.platforms.errors import PlatformError


class HeadlessCommand(BaseCommand):
    """A command for scripts: exit code 0 and one object, or a sentence on stderr and exit code 1.

    Subclasses declare their arguments in ``add_own_arguments`` and return from ``answer`` what
    ``--json`` prints; ``describe`` makes the text for people out of it. Some answers have an exit
    code of their own (``choose_exit_code``).
    """

    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        self.add_own_arguments(parser)
        parser.add_argument("--json", action="store_true", help=_("print one JSON object"))

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        raise NotImplementedError

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        raise NotImplementedError

    def describe(self, answer: Mapping[str, Any]) -> str:
        return describe_mapping(answer)

    def choose_exit_code(self, answer: Mapping[str, Any]) -> int:
        return 0

    def execute(self, *args: Any, **options: Any) -> str | None:
        """As Django's, but what ends on a terminal is the sentence alone."""
        try:
            return super().execute(*args, **options)
        except CommandError as error:
            if not self._called_from_command_line or options.get("traceback"):
                raise
            self.stderr.write(str(error))
            sys.exit(error.returncode)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            answer = self.answer(options)
        except PlatformError as error:
            raise CommandError(describe_error(error)) from error
        except ProgrammingError as error:
            if "does not exist" not in str(error):
                raise
            raise CommandError(
                _("The database has no tables yet: run `manage.py migrate`, or `make run`.")
            ) from error
        except OperationalError as error:
            raise CommandError(
                _("The database cannot be reached: check DATABASE_URL, or run `make run`.")
            ) from error
        if options["json"]:
            text = json.dumps(answer, ensure_ascii=False, default=write_time)
        else:
            text = self.describe(answer)
        self.stdout.write(text)
        if self._called_from_command_line and (code := self.choose_exit_code(answer)):
            sys.exit(code)


def write_time(value: Any) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no part of an answer.")


def describe_mapping(answer: Mapping[str, Any], *, indent: str = "") -> str:
    """``name: value`` lines, nested ones indented."""
    lines: list[str] = []
    for name, value in answer.items():
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{name}:", describe_mapping(value, indent=indent + "  ")]
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            lines.append(f"{indent}{name}:")
            for item in value:
                told = ", ".join(f"{key} {show(part)}" for key, part in item.items() if part)
                lines.append(f"{indent}  - {told}")
        else:
            lines.append(f"{indent}{name}: {show(value)}")
    return "\n".join(lines)


def show(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "—"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def find_account(text: str) -> Account:
    """The account of this name, or of this id if none has the name."""
    account = Account.objects.filter(name=text).first()
    if account is None and text.isascii() and text.isdigit() and len(text) < 19:
        account = Account.objects.filter(pk=int(text)).first()
    if account is None:
        names = ", ".join(Account.objects.values_list("name", flat=True)[:20]) or "—"
        raise CommandError(
            _("There is no account “%(text)s”. Known: %(names)s.") % {"text": text, "names": names}
        )
    return account


def find_task(text: str) -> Task:
    if text.isascii() and text.isdigit() and len(text) < 19:
        task = Task.objects.filter(pk=int(text)).first()
        if task is not None:
            return task
    raise CommandError(
        _("There is no task %(text)s. Give the id that create_task printed.") % {"text": text}
    )


def describe_errors(errors: Mapping[str, list[str]]) -> str:
    """A form's errors in one line; ``__all__`` is what belongs to no single field."""
    parts = []
    for field, sentences in errors.items():
        told = " ".join(str(sentence) for sentence in sentences)
        parts.append(told if field in ("__all__", "") else f"{field}: {told}")
    return " ".join(parts)
