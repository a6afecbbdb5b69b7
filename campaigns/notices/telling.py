"""In: the rules, and what happened. Out: a notice for each occurrence, once, in the bell of those
who are to be told and on its way to addresses outside.

Notice, bell and deliveries are written in one transaction with the mark that the rule has told:
whoever dies before it has told nobody, and the next look finds it again.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from campaigns.locks import only_one
from campaigns.models import (
    Notice,
    NoticeDelivery,
    NoticeMatch,
    NoticeReader,
    NoticeRule,
)
from campaigns.notices.events import EVENTS, Occurrence, hide_numbers
from campaigns.notices.finding import FINDERS, SLACK, Look
from campaigns.notices.reading import VIEW, may_see
from campaigns.queue import enqueue

logger = logging.getLogger(__name__)

#: the first half of the advisory lock's key: "whoever looks for notices"
LOOK_LOCK = 70_077
#: what begins again so soon after it was over is the same, and told no second time
SAME_WITHIN = timedelta(minutes=10)


def find_notices(*, now: datetime | None = None) -> int:
    """Look at everything that a rule asks for; returns how many rules told of something new."""
    moment = now or timezone.now()
    with only_one(LOOK_LOCK, 1) as mine:
        if not mine:
            return 0
        rules: dict[str, list[NoticeRule]] = defaultdict(list)
        for rule in NoticeRule.objects.filter(is_active=True).order_by("id"):
            rules[rule.event].append(rule)
        standing: dict[str, dict[str, Notice]] = defaultdict(dict)
        for notice in Notice.objects.filter(ended_at=None).exclude(condition=""):
            standing[notice.event][notice.condition] = notice
        told = 0
        for event in FINDERS:
            if not rules[event] and not standing[event]:
                continue
            try:
                told += _look(event, rules[event], standing[event], moment)
            except Exception:  # what cannot be looked at must not keep the rest from being told
                logger.exception("Notices about %s could not be looked for.", event)
    return told


def _look(event: str, rules: list[NoticeRule], standing: dict[str, Notice], now: datetime) -> int:
    since = min((max(rule.since, _looked_at(rule) - SLACK) for rule in rules), default=now)
    look = Look(since=since, now=now, rules=rules, standing=frozenset(standing))
    found = FINDERS[event](look)
    _end(standing, {one.condition for one in found if one.condition}, now)
    told = sum(_tell_all(rule, found, standing, now) for rule in rules)
    NoticeRule.objects.filter(pk__in=[rule.pk for rule in rules]).update(looked_at=now)
    return told


def _looked_at(rule: NoticeRule) -> datetime:
    return rule.looked_at or rule.since


def _end(standing: dict[str, Notice], still: set[str], now: datetime) -> None:
    over = [notice.pk for condition, notice in standing.items() if condition not in still]
    if over:
        Notice.objects.filter(pk__in=over, ended_at=None).update(ended_at=now)
    for condition in [name for name in standing if name not in still]:
        del standing[condition]


def concerns(rule: NoticeRule, one: Occurrence) -> bool:
    """Whether the rule asks for this. What still lasts is told however long ago it began."""
    if one.rule is not None and one.rule != rule.pk:
        return False
    if rule.task_id and rule.task_id != one.task:
        return False
    if rule.account_id and rule.account_id != one.account:
        return False
    return bool(one.condition) or one.happened_at >= rule.since


def _tell_all(
    rule: NoticeRule, found: list[Occurrence], standing: dict[str, Notice], now: datetime
) -> int:
    wanted = [one for one in found if concerns(rule, one)]
    keys = [one.key for one in wanted if one.key]
    open_ids = [standing[one.condition].pk for one in wanted if one.condition in standing]
    matches = NoticeMatch.objects.filter(rule=rule)
    known = set(matches.filter(notice__key__in=keys).values_list("notice__key", flat=True))
    known_ids = set(matches.filter(notice__in=open_ids).values_list("notice_id", flat=True))
    told = 0
    for one in wanted:
        notice = standing.get(one.condition) if one.condition else None
        if one.key in known or (notice is not None and notice.pk in known_ids):
            continue
        notice, is_new = tell(rule, one, notice=notice, now=now)
        if one.condition:
            standing[one.condition] = notice
        told += is_new
    return told


def tell(
    rule: NoticeRule, one: Occurrence, *, notice: Notice | None, now: datetime
) -> tuple[Notice, bool]:
    """Write down that it happened, and that those whom the rule names are told; once."""
    with transaction.atomic():
        notice = notice or _write_notice(one, now)
        _match, is_new = NoticeMatch.objects.get_or_create(rule=rule, notice=notice)
        if is_new:
            users = list_people(rule, one)
            if rule.by_bell:
                NoticeReader.objects.bulk_create(
                    (NoticeReader(notice=notice, user=user) for user in users),
                    ignore_conflicts=True,
                )
            _send_out(rule, notice, users, now)
    return notice, is_new


def _write_notice(one: Occurrence, now: datetime) -> Notice:
    fields: dict[str, Any] = {
        "event": one.event,
        "level": EVENTS[one.event].level,
        "condition": one.condition,
        "account_id": one.account,
        "task_id": one.task,
        "subject": one.subject,
        "subject_id": one.subject_id,
        "values": hide_numbers(one.values),
        **hide_numbers({"reason": one.reason}),
        "reason_values": hide_numbers(one.reason_values),
        "happened_at": one.happened_at,
    }
    if not one.condition:
        return Notice.objects.get_or_create(key=one.key, defaults=fields)[0]
    again = Notice.objects.filter(
        event=one.event, condition=one.condition, ended_at__gte=now - SAME_WITHIN
    )
    try:
        with transaction.atomic():
            if (same := again.order_by("-id").first()) is not None:
                Notice.objects.filter(pk=same.pk).update(ended_at=None)
                same.ended_at = None
                return same
            key = f"{one.condition}@{now.isoformat(timespec='microseconds')}"
            return Notice.objects.create(key=key, **fields)
    except IntegrityError:  # somebody else opened it meanwhile
        return Notice.objects.get(condition=one.condition, ended_at=None)


def list_people(rule: NoticeRule, one: Occurrence) -> list[Any]:
    """The users whom the rule names and who may see what it is about."""
    named = Q(notice_rules=rule) | Q(groups__notice_rules=rule)
    if rule.everyone:
        named |= Q(is_staff=True)
    if rule.author and one.author:
        named |= Q(pk=one.author)
    staff = get_user_model()._default_manager.filter(is_active=True, is_staff=True)
    users = staff.filter(named).distinct().order_by("pk")
    return [user for user in users if user.has_perm(VIEW) and may_see(user, one.event)]


def _send_out(rule: NoticeRule, notice: Notice, users: list[Any], now: datetime) -> None:
    addresses = [user.email for user in users if user.email] if rule.by_email else []
    addresses += [address for address in rule.addresses if isinstance(address, str)]
    rows = [
        NoticeDelivery(
            notice=notice,
            channel="email",
            address=address,
            language=rule.language,
            next_try_at=now,
        )
        for address in dict.fromkeys(address.strip().lower() for address in addresses)
        if address
    ] + [
        NoticeDelivery(
            notice=notice, channel="hook", hook=hook, language=hook.language, next_try_at=now
        )
        for hook in rule.hooks.filter(is_active=True)
    ]
    if not rows:
        return
    NoticeDelivery.objects.bulk_create(rows, ignore_conflicts=True)
    waiting = NoticeDelivery.objects.filter(notice=notice, status="waiting", tries=0)
    for pk in waiting.values_list("pk", flat=True):
        enqueue("campaigns.jobs.deliver_notice", once=f"notice-{pk}", delivery_id=pk)
