"""In: a delivery that is due. Out: it arrived, waits for another try, or has failed for good.

A job claims its row before anything is sent. Who dies meanwhile leaves ``sending`` behind, which is
taken up again when the claim is over: a notice may come twice, under the same id, and is not lost.
"""

from __future__ import annotations

import json
import logging
import smtplib
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from campaigns import lifecycle
from campaigns.models import Notice, NoticeDelivery, NoticeHook
from campaigns.notices.events import hide_numbers
from campaigns.notices.hooks import AddressRefused, check_address, list_secrets
from campaigns.notices.reading import find_path, show_time, tell_more, tell_notice
from campaigns.notices.signing import (
    EVENT_HEADER,
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    make_signature,
)
from campaigns.platforms.errors import Forbidden, NotSent, PlatformError, Throttled
from campaigns.platforms.http import ExchangeRecord, Transport
from campaigns.queue import enqueue

logger = logging.getLogger(__name__)

TEST = "test"
#: so much of an answer is read, and so much is kept
ANSWER_BYTES, ANSWER_CHARS = 100_000, 1000
#: so many are enqueued at a time
MOST_DUE = 500
GONE = 410
#: the mail server's codes from here on are for good
REFUSED_FOR_GOOD = 500

ARRIVED = N_("Delivered.")
SWITCHED_OFF = N_("The webhook is switched off.")
NO_MAIL = N_("E-mail is not configured here: EMAIL_URL is empty.")
NO_SECRET = N_("The webhook has no secret or no address.")
NOT_ALLOWED = N_(
    "The address is private, or not reached by https. A host of one's own is allowed by"
    " NOTICE_ALLOW_HOSTS."
)
NOT_REACHED = N_("The other side could not be reached.")
NO_ANSWER = N_("No whole answer came.")
ANSWERED = N_("The other side answered HTTP %(code)d.")
GONE_FOR_GOOD = N_("The other side answered HTTP 410: it wants nothing any more.")
MAIL_FAILED = N_("The mail server did not take it (%(what)s).")
NOT_MADE = N_("It could not be made (%(what)s). This is a fault of Callboard.")
MAIL_REFUSED = N_("The mail server refuses this address.")
NOBODY_SENT = N_("Who sent it is gone; it is sent again.")
SENT_AGAIN = N_("Somebody wants it sent again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one try. ``again``: whether another one may help, and not before ``after``."""

    arrived: bool = False
    again: bool = True
    after: float = 0.0
    reason: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    http_code: int | None = None
    answer: str = ""


# ------------------------------------------------------------------------------------ which, when


def list_due(*, now: datetime | None = None) -> list[int]:
    """Deliveries to be tried now. Those whose sender is gone are put back first."""
    moment = now or timezone.now()
    left = NoticeDelivery.objects.filter(status="sending", claimed_until__lt=moment)
    for delivery in left.order_by("id")[:MOST_DUE]:
        lifecycle.move(delivery, "waiting", of=["sending"], reason=NOBODY_SENT, next_try_at=moment)
    due = NoticeDelivery.objects.filter(status="waiting", next_try_at__lte=moment)
    return list(due.order_by("next_try_at", "id").values_list("pk", flat=True)[:MOST_DUE])


def deliver(delivery_id: int) -> float | None:
    """Try once; returns the seconds until the next try, None when there is none."""
    delivery = _claim(delivery_id)
    if delivery is None:
        return None
    try:
        outcome = _send(delivery)
    except Exception as error:  # a fault of ours must not be tried for ever, nor unsaid
        logger.exception("Notice delivery %s could not be made.", delivery.pk)
        outcome = Outcome(reason=NOT_MADE, values={"what": type(error).__name__})
    return _settle(delivery, outcome)


def _claim(delivery_id: int) -> NoticeDelivery | None:
    rows = NoticeDelivery.objects.select_related("notice__account", "notice__task", "hook")
    delivery = rows.filter(pk=delivery_id).first()
    now = timezone.now()
    if delivery is None or (delivery.next_try_at and delivery.next_try_at > now):
        return None
    moved = lifecycle.move(
        delivery,
        "sending",
        of=["waiting"],
        tries=delivery.tries + 1,
        sent_at=now,
        claimed_until=now + timedelta(seconds=settings.LEASE_SECONDS),
    )
    return delivery if moved else None


def _settle(delivery: NoticeDelivery, outcome: Outcome) -> float | None:
    mine = NoticeDelivery.objects.filter(pk=delivery.pk, claimed_until=delivery.claimed_until)
    if not mine.exists():
        return None  # it took too long, and another worker has it
    kept: dict[str, Any] = {
        "reason": outcome.reason,
        "values": outcome.values,
        "reason_values": outcome.values,
        "http_code": outcome.http_code,
        "answer": outcome.answer.replace("\x00", "␀")[:ANSWER_CHARS],
        "claimed_until": None,
    }
    if outcome.arrived:
        lifecycle.move(delivery, "delivered", of=["sending"], next_try_at=None, **kept)
        return None
    waits = settings.NOTICE_WAITS
    if not outcome.again or delivery.notice is None or delivery.tries > len(waits):
        lifecycle.move(delivery, "failed", of=["sending"], next_try_at=None, **kept)
        return None
    wait = max(float(waits[delivery.tries - 1]), outcome.after)
    due = timezone.now() + timedelta(seconds=wait)
    moved = lifecycle.move(delivery, "waiting", of=["sending"], next_try_at=due, **kept)
    return wait if moved else None


def send_again(delivery: NoticeDelivery, *, by: Any = None) -> bool:
    """Somebody wants a failed one tried anew, from the first try on."""
    with transaction.atomic():
        moved = lifecycle.move(
            delivery,
            "waiting",
            of=["failed"],
            reason=SENT_AGAIN,
            by=by,
            tries=0,
            next_try_at=timezone.now(),
        )
        if moved:
            enqueue(
                "campaigns.jobs.deliver_notice",
                once=f"notice-{delivery.pk}",
                delivery_id=delivery.pk,
            )
    return moved


def test_hook(hook: NoticeHook) -> NoticeDelivery:
    """Send a test now, once, and say what came of it."""
    delivery = NoticeDelivery.objects.create(
        channel="hook", hook=hook, language=hook.language, next_try_at=timezone.now()
    )
    deliver(delivery.pk)
    delivery.refresh_from_db()
    return delivery


# -------------------------------------------------------------------------------------------- how


def _send(delivery: NoticeDelivery) -> Outcome:
    with translation.override(delivery.language or settings.LANGUAGE_CODE):
        if delivery.channel == NoticeDelivery.Channel.EMAIL:
            return _send_mail(delivery)
        return _send_hook(delivery)


def _send_mail(delivery: NoticeDelivery) -> Outcome:
    notice = delivery.notice
    if not settings.EMAIL_CONFIGURED or notice is None:
        return Outcome(again=False, reason=NO_MAIL)
    subject, text = write_mail(notice)
    message = EmailMessage(
        subject,
        text,
        to=[delivery.address],
        headers={"Message-ID": f"<{delivery.uuid}@callboard>", "Auto-Submitted": "auto-generated"},
    )
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _text in error.recipients.values()]
        if codes and all(code >= REFUSED_FOR_GOOD for code in codes):
            return Outcome(again=False, reason=MAIL_REFUSED)
        return Outcome(reason=MAIL_FAILED, values={"what": type(error).__name__})
    except (smtplib.SMTPException, OSError, ValueError) as error:
        # The text of these errors holds addresses, or what the server said of a password.
        return Outcome(reason=MAIL_FAILED, values={"what": type(error).__name__})
    return Outcome(arrived=True, reason=ARRIVED)


def write_mail(notice: Notice) -> tuple[str, str]:
    """Subject and text, in the language that is active."""
    told = tell_notice(notice)
    lines = [told]
    if more := tell_more(notice):
        lines.append(more)
    zone = timezone.get_current_timezone_name()
    lines += [
        "",
        _("Since: %(time)s (%(zone)s)") % {"time": show_time(notice.happened_at), "zone": zone},
        f"{settings.PUBLIC_URL}{find_path(notice)}",
    ]
    subject = f"[Callboard] {told}".replace("\r", " ").replace("\n", " ")
    return subject[:200], "\n".join(lines) + "\n"


def make_payload(delivery: NoticeDelivery) -> dict[str, Any]:
    """The JSON of a webhook (docs/desk/notices.md). Nothing in it changes from try to try."""
    notice = delivery.notice
    if notice is None:
        return {
            "id": str(delivery.uuid),
            "event": TEST,
            "level": "info",
            "text": _("This is a test of the webhook %(name)s.")
            % {"name": delivery.hook.name if delivery.hook else ""},
            "more": "",
            "happened_at": delivery.created_at.isoformat(),
            "account": None,
            "task": None,
            "about": None,
            "values": {},
            "url": settings.PUBLIC_URL,
        }
    account, task = notice.account, notice.task
    about = {"kind": notice.subject, "id": notice.subject_id} if notice.subject else None
    return {
        "id": str(delivery.uuid),
        "event": notice.event,
        "level": notice.level,
        "text": tell_notice(notice),
        "more": tell_more(notice),
        "happened_at": notice.happened_at.isoformat(),
        "account": account and {"id": account.pk, **hide_numbers({"name": account.name})},
        "task": task and {"id": task.pk, **hide_numbers({"name": task.name})},
        "about": about,
        "values": notice.values,
        "url": f"{settings.PUBLIC_URL}{find_path(notice)}",
    }


def _send_hook(delivery: NoticeDelivery) -> Outcome:
    hook = delivery.hook
    if hook is None or (not hook.is_active and delivery.notice is not None):
        return Outcome(again=False, reason=SWITCHED_OFF)
    secrets, url = list_secrets(hook), hook.secrets.get("url", "")
    if not secrets or not url:
        return Outcome(again=False, reason=NO_SECRET)
    try:
        url = check_address(url)  # what is allowed may have been changed since
    except AddressRefused:
        return Outcome(again=False, reason=NOT_ALLOWED)
    payload = make_payload(delivery)
    body = json.dumps(payload, ensure_ascii=False).encode(errors="replace")
    timestamp = int(time.time())
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Callboard",
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: make_signature(body, secrets=secrets, timestamp=timestamp),
        ID_HEADER: payload["id"],
        EVENT_HEADER: payload["event"],
    }
    records: list[ExchangeRecord] = []
    transport = Transport(
        allow_hosts=frozenset(settings.NOTICE_ALLOW_HOSTS),
        timeout=settings.NOTICE_TIMEOUT_SECONDS,
        secrets=(*secrets, url, *(part for part in url.split("/")[3:] if len(part) > 7)),
        record=records.append,
    )
    after = 0.0
    try:
        reply = transport.post(url, body, purpose="notice", headers=headers, max_bytes=ANSWER_BYTES)
    except Forbidden:
        return Outcome(again=False, reason=NOT_ALLOWED)
    except NotSent:
        return Outcome(reason=NOT_REACHED)
    except PlatformError as error:
        after = (error.retry_after or 0.0) if isinstance(error, Throttled) else 0.0
        reply = None
    return _judge(reply.status if reply else None, records, after)


def _judge(status: int | None, records: list[ExchangeRecord], after: float) -> Outcome:
    record = records[-1] if records else None
    code = status or (record.status if record else None)
    answer = record.response if record else ""
    if code is None:
        return Outcome(reason=NO_ANSWER)
    if 200 <= code < 300:
        return Outcome(arrived=True, reason=ARRIVED, http_code=code, answer=answer)
    if code == GONE:
        return Outcome(again=False, reason=GONE_FOR_GOOD, http_code=code, answer=answer)
    return Outcome(
        reason=ANSWERED, values={"code": code}, http_code=code, answer=answer, after=after
    )
