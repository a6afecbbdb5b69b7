"""In: an empty or an older database. Out: tables, an administrator, and (with --demo) the demo.

Run by ``make run`` before anything else is started. It may run any number of times.
"""

from __future__ import annotations

import os
import secrets
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _

from campaigns.management.demo import seed_demo
from campaigns.management.secret_files import write_private
from campaigns.platforms.errors import PlatformError
from campaigns.platforms.registry import PLATFORMS, find_platform

ADMIN = "admin"
#: of the advisory lock under which the tables are made; any number does that all agree on
MIGRATING = 70_002


class Command(BaseCommand):
    help = "Bring the database up to date, make the administrator and the demo."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--demo", metavar="SANDBOX_URL", help="also make the demo")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.migrate()
        except OperationalError as error:
            raise CommandError(
                _("The database cannot be reached: check DATABASE_URL (%(error)s).")
                % {"error": type(error.__cause__ or error).__name__}
            ) from None
        user = prepare_admin()
        if options["demo"]:
            try:
                told = seed_demo(
                    options["demo"],
                    public_url=settings.PUBLIC_URL,
                    by=user,
                    platforms=read_platforms(os.environ.get("DEMO_PLATFORMS", "")),
                )
            except (OSError, PlatformError, ValidationError) as error:
                # The demo is a guest: without it everything else still works.
                told = _("The demo could not be made: %(error)s") % {"error": error}
            if told:
                self.stdout.write(told)

    def migrate(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATING])
        try:
            executor = MigrationExecutor(connection)
            plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
            if plan:
                self.stdout.write(_("Making the tables (%(n)s steps) …") % {"n": len(plan)})
                call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATING])


def read_platforms(text: str) -> list[str] | None:
    """The platforms of the demo that DEMO_PLATFORMS names; None, for all, when it names none."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        return None
    found = []
    for word in words:
        platform = find_platform(word)
        if platform is None:
            raise CommandError(
                _("DEMO_PLATFORMS names “%(unknown)s”; there are %(known)s.")
                % {"unknown": word[:40], "known": ", ".join(PLATFORMS)}
            )
        found.append(platform.slug)
    return found


def prepare_admin() -> Any:
    """The administrator. A generated password is kept in the data folder, so that every start can
    print it until it is changed in the admin; ADMIN_PASSWORD always wins."""
    users = get_user_model().objects
    kept = Path(settings.DATA_DIR) / "secrets" / "admin_password"
    given = os.environ.get("ADMIN_PASSWORD", "")
    user = users.filter(username=ADMIN).first()
    if user is None:
        password = given or read_text(kept) or secrets.token_urlsafe(9)
        user = users.create_superuser(ADMIN, password=password)
        user.groups.add(*Group.objects.filter(name="admin"))
        if not given:
            write_private(kept, password)
    elif given and not user.check_password(given):
        user.set_password(given)
        user.save(update_fields=["password"])
    return user


def read_text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
