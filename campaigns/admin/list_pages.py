"""In: rows that somebody chose in a list, all that match or some. Out: the pages that ask
what to do with them, and the jobs that do it; filters kept under a name.

The rows are named by the criteria in the address, the same that the list was asked with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import OperationalError, connection, transaction
from django.db.models import Case, Q, When
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from campaigns import bulk, exporting
from campaigns.admin.bar_panel import ALLOW, FORBID
from campaigns.admin.base import EXPORT, UNMASK, issue_form_token, refuse_twice, spend_form_token
from campaigns.admin.list_forms import BarForm, ExportForm, FilterForm, NoForm
from campaigns.admin.recordings import FETCH
from campaigns.criteria import CALLS, BadCriteria, Criteria, read_criteria
from campaigns.masking import mask_numbers
from campaigns.models import SavedFilter
from campaigns.models.history import tell_reason

BULK = "campaigns.add_bulkjob"
KEEP = "campaigns.add_savedfilter"
CHANGE_CONTACT = "campaigns.change_contact"
#: rows are counted no further than this before somebody decides
COUNTED = 10_000
COUNT_SECONDS = 1.0
#: kept filters shown above a list, and when somebody wants all of them
FILTERS, ALL_FILTERS = 30, 1_000
#: what is chosen by words that somebody wrote
TEXTS = (
    *("q", "agent", "node", "left_at", "reason__exact"),
    *("platform_result", "intention", "right_intention"),
)


@dataclass(frozen=True, slots=True)
class Deed:
    """What can be done with all rows. ``may``: the right to do it to one of them."""

    name: str
    icon: str
    title: Any
    text: Any
    button: Any
    may: str
    may_undo: str
    form: type[Any]


DEEDS: dict[str, Deed] = {
    "bar": Deed(
        "bar",
        "phone_disabled",
        gettext_lazy("Put on the do-not-call list"),
        gettext_lazy(
            "Nobody calls these numbers any more, in any task, until the entry expires or somebody"
            " lifts it. It can be taken back: what it entered, and nothing else, is lifted."
        ),
        gettext_lazy("Put them on the list"),
        FORBID,
        ALLOW,
        BarForm,
    ),
    "fetch": Deed(
        "fetch",
        "cloud_sync",
        gettext_lazy("Fetch recordings again"),
        gettext_lazy(
            "Recordings of these calls that are not available are asked for once more. What is here"
            " already stays."
        ),
        gettext_lazy("Fetch them again"),
        FETCH,
        "",
        NoForm,
    ),
    "exclude": Deed(
        "exclude",
        "person_remove",
        gettext_lazy("Leave out, not called"),
        gettext_lazy(
            "Contacts that are ready are not called. Whoever was handed over already is not"
            " touched. It can be taken back while the task is a draft."
        ),
        gettext_lazy("Leave them out"),
        CHANGE_CONTACT,
        CHANGE_CONTACT,
        NoForm,
    ),
}


def list_deeds(request: HttpRequest, kind: str) -> list[Deed]:
    """What this person may do with all rows of a kind."""
    if not request.user.has_perm(BULK):
        return []
    return [
        deed
        for deed in DEEDS.values()
        if kind in bulk.KINDS[deed.name] and request.user.has_perm(deed.may)
    ]


def describe_above(request: HttpRequest, kind: str) -> dict[str, Any]:
    """What stands above a list: the saved filters, and what can be done with all that it shows."""
    model = kind.removesuffix("s")
    query = f"?{request.GET.urlencode()}" if request.GET else ""
    buttons = []
    if request.user.has_perm(EXPORT):
        buttons.append(("download", _("Export…"), reverse(f"admin:campaigns_{model}_export")))
    buttons += [
        (deed.icon, f"{deed.title}…", reverse(f"admin:campaigns_{model}_bulk", args=[deed.name]))
        for deed in list_deeds(request, kind)
    ]
    filters, more = list_filters(request, kind)
    return {
        "deeds": [{"icon": icon, "title": title, "url": url} for icon, title, url in buttons],
        "filters": filters,
        "more_filters": more,
        "keep_url": reverse(f"admin:campaigns_{model}_keep") + query
        if request.user.has_perm(KEEP)
        else "",
    }


def list_filters(request: HttpRequest, kind: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The filters that this person kept, and behind them what somebody kept for everybody. Of very
    many the first; then how many more there are, and where they are shown as well."""
    rows = SavedFilter.objects.filter(Q(owner=request.user.pk) | Q(is_shared=True), kind=kind)
    now = _read_or_none(kind, request.GET)
    found = []
    mine_first = Case(When(owner=request.user.pk, then=0), default=1)
    rows = rows.select_related("owner").order_by(mine_first, "name", "id")
    most = ALL_FILTERS if request.GET.get("saved") == "all" else FILTERS
    shown, more = list(rows[: most + 1]), {}
    if len(shown) > most:
        left = rows.order_by().count() - most
        told = ngettext("%(n)s more filter", "%(n)s more filters", left)
        there = request.GET.copy()
        there["saved"] = "all"
        more = {
            "text": told % {"n": left},
            "url": f"?{there.urlencode()}" if most == FILTERS else "",
        }
    for one in shown[:most]:
        criteria = _read_or_none(kind, one.params)
        is_mine = one.owner_id == request.user.pk
        if criteria and not is_mine and has_number(criteria):
            continue  # of before it was asked: the number would stand in everybody's address
        found.append(
            {
                "filter": one,
                "name": one.name if is_mine else mask_numbers(one.name, likely=True),
                "query": criteria.make_query() if criteria else "",
                "is_current": bool(criteria) and criteria == now,
                "is_mine": is_mine,
                "drop_url": reverse(
                    f"admin:campaigns_{kind.removesuffix('s')}_drop", args=[one.pk]
                ),
            }
        )
    return found, more


def has_number(criteria: Criteria) -> bool:
    """Whether a whole phone number is among what is chosen by."""
    texts = [criteria.params[name] for name in TEXTS if name in criteria.params]
    told = " ".join(one if isinstance(one, str) else " ".join(one) for one in texts)
    return mask_numbers(told, likely=True) != told


def _read_or_none(kind: str, params: Any) -> Criteria | None:
    try:
        return read_criteria(kind, params)
    except BadCriteria:
        return None


# ---------------------------------------------------------------------------------------- the pages


def export_page(admin: Any, request: HttpRequest) -> HttpResponse:
    """GET: which file. POST: a job makes it."""
    kind = admin.criteria_kind
    _require(admin, request, EXPORT)
    criteria = read_criteria(kind, request.GET)
    form = ExportForm(request, kind, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        told = form.cleaned_data
        is_sound = told["form"] == "zip"
        if not spend_form_token(request):
            refuse_twice(request)
            return redirect("admin:campaigns_export_changelist")
        try:
            export = exporting.ask_export(
                "recordings" if is_sound else kind,
                criteria,
                form=told["form"],
                words=told["words"],
                whole=bool(told.get("whole")) and request.user.has_perm(UNMASK),
                zone=told["zone"],
                by=request.user,
            )
        except exporting.ExportRefused as refused:
            messages.error(request, tell_reason(refused.message, refused.values))
            return redirect("admin:campaigns_export_changelist")
        return redirect("admin:campaigns_export_change", export.pk)
    return _show(admin, request, criteria, form, _("Export"), button=_("Make the file"))


def bulk_page(admin: Any, request: HttpRequest, deed_name: str) -> HttpResponse:
    """GET: to how many, and why. POST: a job does it."""
    kind = admin.criteria_kind
    deed = DEEDS.get(deed_name)
    if deed is None or kind not in bulk.KINDS[deed_name]:
        raise Http404
    _require(admin, request, BULK, deed.may)
    criteria = read_criteria(kind, request.GET)
    form = deed.form(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        if not spend_form_token(request):
            refuse_twice(request)
            return redirect("admin:campaigns_bulkjob_changelist")
        job = bulk.ask_job(deed.name, criteria, options=form.cleaned_data, by=request.user)
        return redirect("admin:campaigns_bulkjob_change", job.pk)
    return _show(
        admin,
        request,
        criteria,
        form,
        str(deed.title),
        button=deed.button,
        text=deed.text,
        danger=deed.name != "fetch",
    )


def _require(admin: Any, request: HttpRequest, *rights: str) -> None:
    allowed = admin.has_view_permission(request) and all(map(request.user.has_perm, rights))
    if not allowed:
        raise PermissionDenied


def _show(
    admin: Any, request: HttpRequest, criteria: Criteria, form: Any, title: str, **context: Any
) -> HttpResponse:
    number = count_rows(criteria)
    back = reverse(f"admin:campaigns_{admin.opts.model_name}_changelist")
    response: HttpResponse = admin.show(
        request,
        "campaigns/list_deed.html",
        title,
        form=form,
        form_token=issue_form_token(request),
        chosen=criteria.describe(),
        is_all=not criteria,
        is_calls=criteria.kind == CALLS,
        number=number,
        is_more=number is not None and number > COUNTED,
        counted=COUNTED,
        back_url=f"{back}?{criteria.make_query()}",
        **context,
    )
    return response


def count_rows(criteria: Criteria) -> int | None:
    """How many rows are chosen, counted no further than somebody would read, and no longer than
    somebody would wait: then None."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = {int(COUNT_SECONDS * 1000):d}")
            number = criteria.select().order_by().values("pk")[: COUNTED + 1].count()
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
    except OperationalError:
        return None
    return number


def keep_filter(admin: Any, request: HttpRequest) -> HttpResponse:
    """GET: under which name. POST: keep it."""
    kind = admin.criteria_kind
    _require(admin, request, KEEP)
    criteria = read_criteria(kind, request.GET)
    form = FilterForm(request.POST if request.method == "POST" else None)
    back = reverse(f"admin:campaigns_{admin.opts.model_name}_changelist")
    if request.method == "POST" and form.is_valid():
        shared = form.cleaned_data["is_shared"]
        if not criteria:
            messages.error(request, _("The list shows everything: choose something first."))
        elif shared and has_number(criteria):
            messages.error(
                request,
                _("It is chosen by a phone number: keep it for yourself, not for everybody."),
            )
        else:
            kept = form.keep(kind, criteria.params, request.user)
            messages.success(request, _("The filter “%(name)s” is kept.") % {"name": kept.name})
        return redirect(f"{back}?{criteria.make_query()}")
    page: HttpResponse = admin.show(
        request,
        "campaigns/list_keep.html",
        _("Keep this filter"),
        form=form,
        chosen=criteria.describe(),
        is_all=not criteria,
        back_url=f"{back}?{criteria.make_query()}",
    )
    return page


def drop_filter(admin: Any, request: HttpRequest, filter_id: int) -> HttpResponse:
    """Forget a filter of one's own."""
    if request.method != "POST":
        return HttpResponse(status=405)
    _require(admin, request, KEEP)
    mine = SavedFilter.objects.filter(pk=filter_id, owner=request.user.pk, kind=admin.criteria_kind)
    if not mine.exists():
        raise Http404
    mine.delete()
    messages.success(request, _("The filter is forgotten."))
    return redirect(f"admin:campaigns_{admin.opts.model_name}_changelist")


def send_chosen(
    admin: Any, request: HttpRequest, page: str, ids: list[str], *args: str
) -> HttpResponse:
    """To the page of a deed, with the rows that were ticked."""
    url = reverse(f"admin:campaigns_{admin.opts.model_name}_{page}", args=args)
    chosen = read_criteria(admin.criteria_kind, {"id__in": ids})
    return redirect(f"{url}?{chosen.make_query()}")


def guard(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """What cannot be meant is refused with a sentence."""

    def answer(admin: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response: HttpResponse = admin._answer(
                request, lambda asked: view(admin, asked, *args, **kwargs)
            )
        except BadCriteria as bad:
            response = HttpResponse(str(bad), status=400, content_type="text/plain; charset=utf-8")
        return response

    return answer
