"""In: `manage.py platforms_table [--write | --check]`. Out: the capability table of all platforms.

Printed, written to docs/platforms.md, or compared with it: exit code 1 when the file is stale.
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from campaigns.management.capability_table import make_table
from campaigns.platforms.registry import PLATFORMS


class Command(BaseCommand):
    help = "Print what each platform can do and how we know it. Needs no database."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        group = parser.add_mutually_exclusive_group()
        group.add_argument("--write", action="store_true", help="write docs/platforms.md")
        group.add_argument("--check", action="store_true", help="fail when the file is not current")

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(settings.BASE_DIR) / "docs" / "platforms.md"
        table = make_table(list(PLATFORMS.values()))
        if options["write"]:
            path.write_text(table, encoding="utf-8")
        elif not options["check"]:
            self.stdout.write(table, ending="")
        elif not path.is_file() or path.read_text(encoding="utf-8") != table:
            raise CommandError(
                "docs/platforms.md is not current; `manage.py platforms_table --write` makes it so."
            )
