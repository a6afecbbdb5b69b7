"""In: what happens anywhere in the house. Out: whoever asked for it is told, once, wherever that
is.

``events`` names what can be told, ``finding`` looks for it in everybody's rows, ``telling`` writes
it down for those whom the rules name, ``reading`` is somebody's bell, ``delivering`` takes it out
of the house: by e-mail, or by a POST that ``signing`` signs, to an address of ``hooks``.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from campaigns.models import Notice, NoticeDelivery
from campaigns.notices.delivering import deliver, list_due, send_again, test_hook
from campaigns.notices.hooks import (
    AddressRefused,
    check_address,
    make_secret,
    set_address,
    show_address,
)
from campaigns.notices.reading import (
    count_unread,
    find_path,
    list_notices,
    list_seen_events,
    mark_read,
    may_see,
    tell_more,
    tell_notice,
)
from campaigns.notices.telling import find_notices

__all__ = [
    "AddressRefused",
    "check_address",
    "count_unread",
    "deliver",
    "find_notices",
    "find_path",
    "forget_notices",
    "list_due",
    "list_notices",
    "list_seen_events",
    "make_secret",
    "mark_read",
    "may_see",
    "send_again",
    "set_address",
    "show_address",
    "tell_more",
    "tell_notice",
    "test_hook",
]

#: deleted at a time
PORTION = 1000


def forget_notices() -> int:
    """Delete a portion of what was kept for long enough, with its deliveries; what still lasts
    stays. Returns how many."""
    if settings.KEEP_NOTICES_DAYS <= 0:
        return 0
    before = timezone.now() - timedelta(days=settings.KEEP_NOTICES_DAYS)
    old = Notice.objects.filter(created_at__lt=before).exclude(ended_at=None, condition__gt="")
    ids = list(old.order_by("created_at").values_list("pk", flat=True)[:PORTION])
    Notice.objects.filter(pk__in=ids).delete()
    NoticeDelivery.objects.filter(notice=None, created_at__lt=before).delete()
    return len(ids)
