"""In: why it is safe. Out: calls may leave again after the database was restored."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from campaigns.gates.restore import find_installation, release_hold
from campaigns.management.headless import HeadlessCommand


class Command(HeadlessCommand):
    help = "After a restore: let calls leave again. Look at the platforms first."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--note", required=True, help=_("why it is safe; it is kept"))

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        note = str(options["note"]).strip()
        if not note:
            raise CommandError(_("Say why it is safe."))
        if find_installation() is None:
            raise CommandError(_("Nothing is held."))
        release_hold(by=None, note=note)
        return {"held": False}

    def describe(self, answer: Mapping[str, Any]) -> str:
        return _("Calls may leave again. The tasks that were stopped wait to be resumed, each.")
