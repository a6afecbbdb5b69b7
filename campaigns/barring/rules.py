"""In: calls whose intention, number or contact became known. Out: the entries that rules make.

A rule looks at every intention that was ever stated of a call, the best and the lowest, and at what
a person heard who corrected it: a later label takes nothing back, and the order of the pushes
changes nothing. It fires once for a call and
a number: an entry that somebody lifted is not made again by a push that comes twice.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone

from campaigns.barring.entries import bar_number, is_normal
from campaigns.models import Account, Call, Correction, DoNotCall, DoNotCallRule, StatusChange
from campaigns.phones import PhoneRefused, normalise_phone, tell_phone

_STATED = ("intention", "intention_min")


def apply_rules(account_id: int, call_ids: Collection[int]) -> int:
    """Bar the numbers of those of these calls that a rule of the account is about, in the caller's
    transaction; returns how many (number, rule) pairs fired."""
    rules = list(DoNotCallRule.objects.filter(account=account_id, is_active=True).order_by("id"))
    if not rules or not call_ids:
        return 0
    account = Account.objects.get(pk=account_id)
    heard = Correction.objects.filter(call=OuterRef("pk"), withdrawn_at=None)
    calls = Call.objects.filter(account=account_id, pk__in=call_ids).order_by("id")
    calls = calls.annotate(heard=Subquery(heard.values("intention")[:1]))
    calls = calls.filter(Q(evidence__has_any_keys=_STATED) | Q(heard__isnull=False))
    found = {
        (phone, rule.everywhere, rule.pk, call.pk): (rule, call)
        for call in calls.select_related("contact", "task").defer("details", "contact__values")
        for rule in rules
        if fits(rule, call)
        for phone in list_numbers(call, account)
    }
    fired = 0
    # In the order of the numbers, as everybody who writes entries: two at once wait.
    for (phone, everywhere, _, _), (rule, call) in sorted(found.items(), key=lambda one: one[0]):
        expires_at = find_end(rule, call)
        if (expires_at and expires_at <= timezone.now()) or has_fired(phone, rule, call):
            continue
        bar_number(
            phone,
            account=None if everywhere else account,
            source="rule",
            reason=rule.intention,
            call=call,
            rule=rule,
            expires_at=expires_at,
        )
        fired += 1
    return fired


def fits(rule: DoNotCallRule, call: Call) -> bool:
    """Whether the rule is about an intention that somebody stated of the call, and its robot."""
    if rule.robot_id and rule.robot_id not in (call.robot_id, call.task and call.task.robot_id):
        return False
    wanted = fold(rule.intention)
    stated = {
        fold(str(item[2])) for field in _STATED for item in call.evidence.get(field, ()) if item[2]
    }
    stated.add(fold(getattr(call, "heard", None) or ""))
    return bool(wanted) and wanted in stated


def fold(text: str) -> str:
    """One writing of a word: width, upper and lower case and space do not count."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def list_numbers(call: Call, account: Account) -> list[str]:
    """The numbers in normal form of whoever was talked to; none while it is not known.

    Who called in is the caller. Of a call that went out it is the contact's number, which stands
    behind a masked one, else what was sent and what was dialled. Of a call that does not say which
    way it went: both ends, since a number too many on the list calls nobody.
    """
    if call.direction == Call.Direction.INBOUND:
        told = [call.caller]
    elif call.contact is not None:
        told = [call.contact.phone]
    elif call.direction == Call.Direction.OUTBOUND:
        sent = call.evidence.get("details.contact_number") or [[0, "", ""]]
        # as it was sent: the bare digits of an American may be a Chinese mobile in normal form
        told = [tell_phone(str(sent[0][2]), region=account.region), call.callee]
    else:
        told = [call.callee, call.caller]
    return list(dict.fromkeys(_read_numbers(told, account)))


def _read_numbers(texts: list[str], account: Account) -> Iterator[str]:
    for text in texts:
        if is_normal(text):
            yield text
            continue
        try:
            yield normalise_phone(text, region=account.region)
        except PhoneRefused:
            continue


def find_end(rule: DoNotCallRule, call: Call) -> datetime | None:
    """Until when the rule forbids the number: counted from the call, or from when we first heard of
    it if that is later, since a platform's clock may be wrong."""
    if rule.days is None:
        return None
    heard = call.created_at
    since = max(heard, call.happened_at) if call.happened_at <= timezone.now() else heard
    return since + timedelta(days=rule.days)


def has_fired(phone: str, rule: DoNotCallRule, call: Call) -> bool:
    """Whether the rule has barred the number for this call before, be it lifted since or not."""
    entries = DoNotCall.objects.filter(
        phone=phone, account=None if rule.everywhere else rule.account_id
    )
    values: dict[str, Any] = {"rule": rule.pk, "call": call.pk}
    return (
        entries.filter(rule=rule, call=call).exists()
        or StatusChange.objects.filter(
            subject="donotcall",
            subject_id__in=list(entries.values_list("pk", flat=True)),
            values__contains=values,
        ).exists()
    )
