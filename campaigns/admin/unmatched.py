"""In: outbound calls that found no contact. Out: the page that lists them, each with why.

They wait: as soon as a contact learns the platform's id that a call names, both are joined.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from campaigns.admin.base import CallboardAdmin, make_link, show_moment, tell_age
from campaigns.linking import CANDIDATES
from campaigns.masking import mask_phone
from campaigns.models import Account, Call, Contact, Instance, Task
from campaigns.phones import PhoneRefused, normalise_phone
from campaigns.platforms.registry import PLATFORMS

SHOWN = 100
#: of each account that has more, "so many and more" is said
COUNTED = 10_000


def list_page(model_admin: CallboardAdmin, request: HttpRequest) -> HttpResponse:
    """The newest of all accounts that call people, or of the one that is asked for."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    calling = [slug for slug, one in PLATFORMS.items() if one.connect is not None]
    # A platform that only pushes calls for others: none of its calls is anybody's of ours.
    accounts = list(Account.objects.filter(platform__in=calling))
    asked = request.GET.get("account", "")
    chosen = [one for one in accounts if str(one.pk) == asked] or accounts
    calls = [call for account in chosen for call in find_unmatched(account)[:SHOWN]]
    calls.sort(key=lambda call: (call.happened_at, call.pk), reverse=True)
    calls = calls[:SHOWN]
    return model_admin.show(
        request,
        "campaigns/unmatched.html",
        _("Calls of nobody"),
        accounts=[
            (account, number)
            for account in accounts
            if (number := find_unmatched(account).values("pk")[:COUNTED].count())
        ],
        counted=COUNTED,
        asked=asked,
        shown=SHOWN,
        calls=[describe_call(call, why) for call, why in zip(calls, explain(calls), strict=True)],
    )


def find_unmatched(account: Account) -> Any:
    """Outbound calls of an account that belong to no contact, the newest first."""
    calls = Call.objects.filter(account=account, contact=None, direction="outbound")
    calls = calls.select_related("task", "account").defer("evidence", "details")
    return calls.order_by("-happened_at", "-id")


def describe_call(call: Call, why: str) -> dict[str, Any]:
    return {
        "link": make_link(call, show_moment(call.happened_at)),
        "number": mask_phone(call.callee) if call.callee else "–",
        "account": call.account.name,
        "task": make_link(call.task) if call.task else "–",
        "why": why,
        "heard": tell_age(call.created_at),
    }


def explain(calls: list[Call]) -> list[str]:
    """Why each found nobody, as far as the rows tell now. In a few queries for all."""
    names = {call.platform_task_id for call in calls} - {""}
    tasks = set(
        Task.objects.filter(platform_task_id__in=names).values_list("account", "platform_task_id")
    ) | set(
        Instance.objects.filter(platform_task_id__in=names).values_list(
            "task__account", "platform_task_id"
        )
    )
    ids = {call.platform_contact_id for call in calls} - {""}
    accounts = {call.account_id for call in calls}
    holders = Counter(
        Contact.objects.filter(account__in=accounts, platform_contact_id__in=ids).values_list(
            "account", "platform_contact_id"
        )
    )
    phones = {call.pk: read_phone(call) for call in calls if call.task_id}
    people = Counter(
        Contact.objects.filter(
            task__in={call.task_id for call in calls if call.task_id},
            phone__in=set(phones.values()) - {""},
            status__in=CANDIDATES,
        ).values_list("task", "phone")
    )
    return [
        explain_call(
            call,
            ours=(call.account_id, call.platform_task_id) in tasks,
            holders=holders[call.account_id, call.platform_contact_id],
            people=people[call.task_id, phones.get(call.pk, "")],
        )
        for call in calls
    ]


def read_phone(call: Call) -> str:
    try:
        return normalise_phone(call.callee, region=call.account.region)
    except PhoneRefused:
        return ""


def explain_call(call: Call, *, ours: bool, holders: int, people: int) -> str:
    """``ours``: the task that it names is one of ours; ``holders``: contacts with the id that it
    names; ``people``: contacts of its task with its number."""
    if call.platform_task_id and not ours and call.task_id is None:
        return _("It names a task that was not made here: somebody works at the platform itself.")
    if call.platform_contact_id and holders > 1:
        return _("Several contacts have the platform's id that it names: it may be any.")
    if call.platform_contact_id and holders:
        return _("Its contact is known since a moment: they are joined with the next look.")
    if call.task_id is None and call.platform_contact_id:
        return _(
            "Nobody here has the platform's id that it names, and it names no task: it waits for a"
            " reply that tells the id, or was called at the platform itself."
        )
    if call.task_id is None:
        return _("It names neither a task nor a contact.")
    if people > 1:
        return _("Several contacts of its task have this number, and it does not say which.")
    if people == 1:
        return _("Of this number is a contact of its task whom the platform gave another id.")
    return _("Nobody of its task has this number.")
