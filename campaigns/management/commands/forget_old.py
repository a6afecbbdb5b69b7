"""In: nothing. Out: what is kept for longer than its period is deleted, or, dry, only counted."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.db.models import Sum

from campaigns import retention
from campaigns.management.headless import HeadlessCommand
from campaigns.models import Erasure


class Command(HeadlessCommand):
    help = "Delete pushes, exchanges, dialogs and recordings whose period of keeping is over."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count it, delete nothing")

    def answer(self, options: dict[str, Any]) -> Mapping[str, Any]:
        if options["dry_run"]:
            return {due.kind: due.number for due in retention.list_due()}
        before = Erasure.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        retention.forget_old(seconds=float("inf"))
        made = Erasure.objects.filter(pk__gt=before).order_by().values_list("kind")
        deleted = dict(made.annotate(number=Sum("number")))
        files = retention.sweep_files()
        return {kind: deleted.get(kind, 0) for kind in Erasure.Kind.values} | {"files": files}
