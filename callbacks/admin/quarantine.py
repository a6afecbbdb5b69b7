"""In: what could not be understood. Out: the page that sums it up by reason and platform, and the
buttons that send all of a kind through again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from callbacks import rereading
from callbacks.admin.words import name_reason
from callbacks.health import Group, list_groups
from callbacks.models import Receipt, Rereading
from callbacks.reading import PARSED_BYTES
from callbacks.understanding import try_reading
from campaigns.admin.base import (
    CallboardAdmin,
    issue_form_token,
    make_badge,
    read_day,
    refuse_odd_value,
    refuse_twice,
    show_moment,
    spend_form_token,
    tell_age,
)
from campaigns.models import Account
from campaigns.models.history import fill_in
from campaigns.platforms.registry import PLATFORMS

REPROCESS = "callbacks.change_receipt"
#: groups of which the newest is read with today's code, to say whether it would be understood
TRIED_GROUPS = 30
READINGS_SHOWN = 10
#: a choice's names, as the form posts them
NAMES = ("status", "reason", "kind", "platform", "account", "begin", "end")
COLORS = {"running": "info", "done": "good", "stopped": "warn"}


class ChooseForm(forms.Form):
    """Which pushes; a field left empty does not matter."""

    status = forms.ChoiceField(label=gettext_lazy("State"), widget=UnfoldAdminSelectWidget)
    platform = forms.ChoiceField(
        label=gettext_lazy("platform"), required=False, widget=UnfoldAdminSelectWidget
    )
    account = forms.ChoiceField(
        label=gettext_lazy("account"), required=False, widget=UnfoldAdminSelectWidget
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("kind"), required=False, widget=UnfoldAdminSelectWidget
    )
    begin = forms.DateField(
        label=gettext_lazy("received from"),
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
    )
    end = forms.DateField(
        label=gettext_lazy("received until"),
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
    )

    def __init__(self) -> None:
        super().__init__(initial={"status": "quarantined"})
        names = dict(Receipt.Status.choices)
        kinds = rereading.list_kinds()
        self._offer("status", [(status, names[status]) for status in rereading.ENDED])
        self._offer("platform", [("", "–"), *((one.slug, one.name) for one in PLATFORMS.values())])
        self._offer("account", [("", "–"), *Account.objects.values_list("pk", "name")])
        self._offer("kind", [("", "–"), *((kind, kind) for kind in kinds)])

    def _offer(self, name: str, choices: list[tuple[Any, Any]]) -> None:
        field: Any = self.fields[name]
        field.choices = choices


def show_page(model_admin: CallboardAdmin, request: HttpRequest) -> HttpResponse:
    """By reason and platform: how many, since when, and whether today's code understands them."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    groups = list_groups()
    may_read = request.user.has_perm(REPROCESS)
    readings = list(Rereading.objects.select_related("by")[:READINGS_SHOWN])
    return model_admin.show(
        request,
        "callbacks/quarantine.html",
        _("Quarantine"),
        groups=[
            describe_group(one, tried=place < TRIED_GROUPS) for place, one in enumerate(groups)
        ],
        total=sum(one.count for one in groups),
        readings=[describe_reading(one) for one in readings],
        going_on=any(one.status == "running" for one in readings),
        choose_form=ChooseForm() if may_read else None,
        may_read=may_read,
        form_token=issue_form_token(request) if may_read else "",
    )


def describe_group(one: Group, *, tried: bool) -> dict[str, Any]:
    chosen = {"reason": one.reason, "kind": one.kind, "account": one.account.pk}
    query = {"status__exact": "quarantined", "account__id__exact": one.account.pk}
    query |= {name: text for name, text in (("reason", one.reason), ("kind", one.kind)) if text}
    vendor = PLATFORMS.get(one.account.platform)
    return {
        "reason": name_reason(one.reason) or "–",
        "platform": vendor.name if vendor else one.account.platform,
        "account": one.account.name,
        "kind": one.kind or "–",
        "count": one.count,
        "oldest": tell_age(one.oldest),
        "oldest_at": show_moment(one.oldest),
        "newest": tell_age(one.newest),
        "newest_at": show_moment(one.newest),
        "now": try_newest(one) if tried else "",
        "chosen": chosen,
        "url": f"{reverse('admin:callbacks_receipt_changelist')}?{urlencode(query)}",
    }


def try_newest(one: Group) -> Any:
    """Whether the newest of a group would be understood now, as a badge."""
    rows = Receipt.objects.filter(
        status="quarantined", reason=one.reason, account=one.account, kind=one.kind
    )
    row = rows.filter(received_at=one.newest).select_related("account").first()
    if row is None or len(row.body) > PARSED_BYTES:
        return ""
    if try_reading(row).status == "quarantined":
        return make_badge(_("still not"), "mute")
    return make_badge(_("would be understood"), "good")


def describe_reading(one: Rereading) -> dict[str, Any]:
    chosen = dict(one.chosen)
    words = []
    names = dict(Receipt.Status.choices)
    status = chosen.get("status", "quarantined")
    words.append(str(names.get(status, _("processed, ignored or quarantined"))))
    if "reason" in chosen:
        words.append(name_reason(str(chosen["reason"])))
    words += [str(chosen[name]) for name in ("kind", "platform", "call") if chosen.get(name)]
    if "account" in chosen:
        account = Account.objects.filter(pk=rereading.read_id(chosen["account"])).first()
        words.append(account.name if account else "–")
    if "begin" in chosen or "end" in chosen:
        words.append(f"{chosen.get('begin', '…')} – {chosen.get('end', '…')}")
    return {
        "row": one,
        "words": " · ".join(words),
        "color": COLORS.get(one.status, ""),
        "share": min(100.0, 100 * one.done / one.total) if one.total else 100.0,
        "began": tell_age(one.created_at),
        "began_at": show_moment(one.created_at),
    }


def read_again(model_admin: CallboardAdmin, request: HttpRequest) -> HttpResponse:
    """All of a reason, a platform, a kind, an account, of some days."""
    if request.method != "POST":
        return HttpResponse(status=405)
    if not request.user.has_perm(REPROCESS):
        raise PermissionDenied
    if not spend_form_token(request):
        refuse_twice(request)
        return redirect("admin:callbacks_quarantine")
    chosen = {name: request.POST[name] for name in NAMES if name in request.POST}
    whole = request.POST.get("exact") == "1"
    # The form for people leaves out what they left empty; a line's button means what it says.
    chosen = {name: text for name, text in chosen.items() if text or (whole and name != "status")}
    try:
        rereading.choose(chosen)
    except rereading.NothingChosen:
        return refuse_odd_value()
    start(request, chosen)
    return redirect("admin:callbacks_quarantine")


def start(request: HttpRequest, chosen: Mapping[str, Any]) -> None:
    """Send the chosen ones through again, and say so."""
    try:
        found = rereading.process_again(chosen, by=request.user)
    except rereading.NothingChosen:
        messages.error(request, _("That filter means nothing here. Nothing was done."))
        return
    if isinstance(found, int):
        tell_started(request, found)
        return
    said = _(
        "%(n)d pushes are processed again, a piece at a time: the quarantine page shows how far."
    )
    messages.success(request, fill_in(said, {"n": found.total}))


def tell_started(request: HttpRequest, count: int) -> None:
    if count:
        said = ngettext(
            "%(n)d push is processed again.", "%(n)d pushes are processed again.", count
        )
        messages.success(request, fill_in(said, {"n": count}))
    else:
        messages.info(request, _("What was chosen waits for its turn already."))


def read_filters(query: Any) -> dict[str, Any]:
    """What the list shows, as a choice of ``rereading``."""
    chosen: dict[str, Any] = {"status": query.get("status__exact") or rereading.ALL}
    names = {
        "reason": "reason",
        "kind": "kind",
        "platform": "platform",
        "account__id__exact": "account",
        "q": "call",
    }
    chosen |= {ours: query[name] for name, ours in names.items() if query.get(name)}
    for name, ours in (("received_at_from", "begin"), ("received_at_to", "end")):
        day = read_day(query.get(name))
        if day is not None:
            chosen[ours] = day.date().isoformat()
    return chosen


def order_rereading(
    model_admin: CallboardAdmin, request: HttpRequest, rereading_id: int, order: str
) -> HttpResponse:
    """Stop one, or go on with one that was stopped."""
    if request.method != "POST":
        return HttpResponse(status=405)
    if not request.user.has_perm(REPROCESS):
        raise PermissionDenied
    row = Rereading.objects.filter(pk=rereading_id).first() if rereading_id < 2**63 else None
    if row is None or order not in ("stop", "resume"):
        raise Http404
    done = rereading.stop if order == "stop" else rereading.resume
    if not done(row, by=request.user):
        messages.warning(request, _("It had moved on already. Nothing was done."))
    return redirect("admin:callbacks_quarantine")
