"""In: which receipts. Out: these sent through again, however many they are.

A few at once; more by a job, in pieces, so that no transaction lasts and no live push waits behind
a hundred thousand old ones: receipts are worked off in the order of their ids, so old ones are put
back only while little waits.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop as N_

from callbacks.models import Receipt, Rereading
from callbacks.processing import reprocess
from campaigns import lifecycle
from campaigns.models import Account
from campaigns.platforms.registry import PLATFORMS
from campaigns.queue import enqueue

JOB = "callbacks.jobs.reread"
#: up to so many are put back at once
AT_ONCE = 1_000
CHUNK = 500
#: nothing is put back while so many wait
MOST_WAITING = 2_000
PAUSE_SECONDS = 2.0
JOB_SECONDS = 20.0
STALLED_AFTER = timedelta(minutes=1)

ENDED = ("quarantined", "ignored", "processed")
ALL = "ended"
DONE = N_("All of them were put back.")
STOPPED = N_("Stopped by hand.")
RESUMED = N_("Gone on with by hand.")


class NothingChosen(ValueError):
    """The words name no receipts that could be read again."""


def choose(chosen: Mapping[str, Any]) -> QuerySet[Receipt]:
    """The receipts of a choice: ``status`` (one of ``ENDED``, or "ended" for all of these),
    ``reason``, ``kind``, ``platform``, ``account`` (its id), ``call`` (the platform's id),
    ``begin`` and ``end`` (ISO days, both included, of the current time zone). Raises
    ``NothingChosen`` for values that mean nothing."""
    if unknown := set(chosen) - {
        *("status", "reason", "kind", "platform", "account", "call", "begin", "end")
    }:
        raise NothingChosen(sorted(unknown)[0])
    status = chosen.get("status") or "quarantined"
    if status not in (*ENDED, ALL):
        raise NothingChosen("status")
    rows = Receipt.objects.filter(status__in=ENDED if status == ALL else [status])
    for name, field in (("reason", "reason"), ("call", "platform_call_id")):
        if name in chosen:
            rows = rows.filter(**{field: read_text(chosen[name], name)})
    if "kind" in chosen:
        rows = rows.filter(is_of(read_text(chosen["kind"], "kind")))
    if "platform" in chosen:
        accounts = Account.objects.filter(platform=read_text(chosen["platform"], "platform"))
        rows = rows.filter(account__in=list(accounts.values_list("pk", flat=True)))
    if "account" in chosen:
        rows = rows.filter(account=read_id(chosen["account"]))
    if "begin" in chosen:
        rows = rows.filter(received_at__gte=read_day(chosen["begin"]))
    if "end" in chosen:
        rows = rows.filter(received_at__lt=read_day(chosen["end"]) + timedelta(days=1))
    return rows


def list_kinds() -> list[str]:
    """All that platforms have, by address and by what they call them."""
    kinds = {kind for one in PLATFORMS.values() for kind in (*one.kinds, *one.told_kinds.values())}
    return sorted(kinds - {""})


def is_of(kind: str) -> Q:
    """Receipts of a kind, by their address or by what they say themselves."""
    return Q(kind=kind) | Q(told_kind=kind) if kind else Q(kind="")


def read_text(value: Any, name: str) -> str:
    text = str(value)
    if len(text) > 200 or "\x00" in text or not text.isprintable():
        raise NothingChosen(name)
    return text


def read_id(value: Any) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise NothingChosen("account")
    return int(text)


def read_day(value: Any) -> datetime:
    try:
        day = date.fromisoformat(str(value))
        if not 1900 < day.year < 9000:
            raise ValueError
    except ValueError:
        raise NothingChosen("day") from None
    return timezone.make_aware(datetime(day.year, day.month, day.day))  # noqa: DTZ001


def process_again(chosen: Mapping[str, Any], *, by: Any = None) -> int | Rereading:
    """Put the chosen receipts back, at once if they are few: their number; else by a job."""
    rows = choose(chosen)
    ids = list(rows.order_by().values_list("pk", flat=True)[: AT_ONCE + 1])
    if len(ids) <= AT_ONCE:
        return reprocess(Receipt.objects.filter(pk__in=ids), by=by)
    newest = Receipt.objects.order_by("-id").values_list("pk", flat=True)[:1].get()
    with transaction.atomic():
        rereading = Rereading.objects.create(
            chosen=dict(chosen),
            up_to=newest,
            total=rows.count(),
            by=by if getattr(by, "pk", None) else None,
        )
        call_job(rereading)
    return rereading


def call_job(rereading: Rereading, *, seconds: float = 0) -> None:
    once = f"reread-{rereading.pk}"
    enqueue(JOB, once=once, seconds=seconds, rereading_id=rereading.pk)


def work_on(rereading_id: int, *, seconds: float = JOB_SECONDS) -> None:
    """Put pieces back for a while, then leave the rest to the next job."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if count_waiting() >= MOST_WAITING:
            break
        if not put_back_some(rereading_id):
            return
    rereading = Rereading.objects.filter(pk=rereading_id, status="running").first()
    if rereading is not None:
        call_job(rereading, seconds=PAUSE_SECONDS)


def count_waiting() -> int:
    waiting = Receipt.objects.filter(status="received").order_by()
    return waiting.values("pk")[:MOST_WAITING].count()


def put_back_some(rereading_id: int) -> bool:
    """One piece, and how far we are, in one transaction; whether there is more to do."""
    with transaction.atomic():
        rows = Rereading.objects.select_for_update(of=("self",), skip_locked=True)
        rereading = rows.filter(pk=rereading_id, status="running").first()
        if rereading is None:  # stopped, done, or another job is at it
            return False
        left = choose(rereading.chosen).filter(pk__gt=rereading.position, pk__lte=rereading.up_to)
        ids = list(left.order_by("id").values_list("pk", flat=True)[:CHUNK])
        if ids:
            rereading.done += reprocess(Receipt.objects.filter(pk__in=ids), by=rereading.by)
            rereading.position = ids[-1]
            rereading.save(update_fields=["done", "position", "moved_at"])
        if len(ids) == CHUNK:
            return True
        lifecycle.move(rereading, "done", of=["running"], reason=DONE, ended_at=timezone.now())
    return False


def stop(rereading: Rereading, *, by: Any = None) -> bool:
    """What is not put back yet stays where it is."""
    return lifecycle.move(
        rereading, "stopped", of=["running"], reason=STOPPED, by=by, ended_at=timezone.now()
    )


def resume(rereading: Rereading, *, by: Any = None) -> bool:
    with transaction.atomic():
        moved = lifecycle.move(
            rereading, "running", of=["stopped"], reason=RESUMED, by=by, ended_at=None
        )
        if moved:
            call_job(rereading)
    return moved


def wake_stalled() -> None:
    """Readings whose job was lost with its worker go on."""
    stalled = Rereading.objects.filter(
        status="running", moved_at__lt=timezone.now() - STALLED_AFTER
    )
    for rereading in stalled:
        call_job(rereading)
