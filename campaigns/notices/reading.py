"""In: somebody, and notices. Out: what of them is in that person's bell, in words of their
language, and where each leads."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext

from campaigns.models import Notice, NoticeReader
from campaigns.notices.events import EVENTS

VIEW = "campaigns.view_notice"
#: more than so many unread ones are not counted
MOST_UNREAD = 100
#: rows of a kind that have no page each
LISTS = {"callbacks.receipt": "?status__exact=quarantined", "campaigns.installation": ""}


def may_see(user: Any, event: str) -> bool:
    """Whether somebody may see what an event is about."""
    return event in EVENTS and bool(user.has_perm(EVENTS[event].right))


def list_seen_events(user: Any) -> list[str]:
    return [event for event in EVENTS if may_see(user, event)]


def list_notices(user: Any) -> QuerySet[Notice]:
    """What is in somebody's bell, the newest first. A right that was taken away takes it along."""
    if not user.has_perm(VIEW):
        return Notice.objects.none()
    return Notice.objects.filter(readers__user=user.pk, event__in=list_seen_events(user)).order_by(
        "-id"
    )


def count_unread(user: Any) -> int:
    """How many are unread, up to ``MOST_UNREAD``."""
    unread = NoticeReader.objects.filter(
        user=user.pk, read_at=None, notice__event__in=list_seen_events(user)
    )
    return unread.order_by()[:MOST_UNREAD].count()


def mark_read(user: Any, notice_ids: list[int] | None = None, *, read: bool = True) -> int:
    """Of one's own: these, or all of them. Returns how many changed."""
    rows = NoticeReader.objects.filter(user=user.pk, read_at__isnull=read)
    if notice_ids is not None:
        rows = rows.filter(notice__in=notice_ids)
    return rows.update(read_at=timezone.now() if read else None)


def tell_notice(notice: Notice) -> str:
    """What happened, as a sentence in the language that is active."""
    event = EVENTS.get(notice.event)
    return _fill(event.sentence if event else notice.event, notice.values)


def tell_more(notice: Notice) -> str:
    """Why, if anything is known of it."""
    return _fill(notice.reason, notice.reason_values) if notice.reason else ""


def _fill(sentence: str, values: dict[str, Any]) -> str:
    """A catalogue that lacks a place, or values of an older version, show the bare sentence."""
    told = gettext(sentence)
    shown = {name: _show(name, value) for name, value in values.items()}
    try:
        return told % shown if shown else told
    except (KeyError, TypeError, ValueError):
        return told


def _show(name: str, value: Any) -> Any:
    if name.endswith("_at") and isinstance(value, str):
        moment = parse_datetime(value)
        return show_time(moment) if moment else value
    return value


def show_time(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M}"


def find_path(notice: Notice) -> str:
    """The page of what it is about; the notice's own where that has none."""
    app, _, model = notice.subject.partition(".")
    try:
        if notice.subject in LISTS:
            rows = LISTS[notice.subject]
            # of the account that it is about, not of all
            rows += f"&account__id__exact={notice.account_id}" if rows and notice.account_id else ""
            return reverse(f"admin:{app}_{model}_changelist") + rows
        if app and notice.subject_id is not None:
            return reverse(f"admin:{app}_{model}_change", args=[notice.subject_id])
    except NoReverseMatch:
        pass
    return reverse("admin:campaigns_notice_changelist")
