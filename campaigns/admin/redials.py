"""In: models/lineage.py, Redial; criteria from a list's address. Out: whom they choose and why the
others are left out, on a page that follows the jobs; then a draft."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from campaigns import redialing
from campaigns.admin.base import (
    CallboardAdmin,
    make_badge,
    make_link,
    show_moment,
    tell_age,
)
from campaigns.admin.experiments import ColumnField, read_columns
from campaigns.admin.task_colors import TASK_COLORS
from campaigns.admin.task_form import RobotField
from campaigns.criteria import KINDS, BadCriteria, Criteria, read_criteria
from campaigns.definitions import show_number
from campaigns.experiments.splitting import map_columns
from campaigns.models import Redial, Robot, Task

ADD = "campaigns.add_redial"
SEES = {"calls": "campaigns.view_call", "contacts": "campaigns.view_contact"}
STATUS_COLORS = {
    "counting": "info",
    "counted": "warn",
    "making": "info",
    "made": "good",
    "failed": "bad",
    "cancelled": "mute",
}
#: why people are left out, in the order in which it is asked
REASONS = {
    "unknown": gettext_lazy("Nobody knows whether a request for them was carried out"),
    "waiting": gettext_lazy("They wait, or are under way, in a task of the family already"),
    "said_no": gettext_lazy("They said no: a do-not-call rule is about their intention"),
    "barred": gettext_lazy("On the do-not-call list"),
    "left_out": gettext_lazy("Left out in every round so far: duplicates, barred, capped"),
    "later": gettext_lazy("Something newer of the family says otherwise"),
    "no_values": gettext_lazy("Their row lacks values that the robot needs"),
    "capped": gettext_lazy("The account would call them more often than it allows"),
}


class MakeForm(forms.Form):
    """What the draft is called, and with which robot."""

    name = forms.CharField(
        label=gettext_lazy("name of the task"),
        max_length=100,
        widget=UnfoldAdminTextInputWidget(),
    )
    robot = RobotField(
        Robot.objects.none(), label=gettext_lazy("robot"), widget=UnfoldAdminSelectWidget()
    )

    def __init__(self, data: Any = None, *, redial: Redial) -> None:
        super().__init__(data, initial={"name": redial.name, "robot": redial.robot_id})
        account = redial.family.account_id if redial.family else 0
        robots = Robot.objects.filter(account=account, gone_at=None, deleted=False)
        field = self.fields["robot"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = robots.filter(state=Robot.State.PUBLISHED).order_by("name")
        known = redialing.list_redial_columns(redial)
        self.columns: list[str] = []
        try:
            robot = field.clean(data.get("robot") if data else redial.robot_id)
        except forms.ValidationError:
            return
        self.columns = map_columns(robot, known, {})[1]
        for place, column in enumerate(self.columns):
            self.fields[f"column_{place}"] = ColumnField(column, known)

    def refuse(self, errors: dict[str, list[str]]) -> None:
        for field, sentences in errors.items():
            self.add_error(field if field in self.fields else None, sentences)


def find_family(redial: Redial, text: str) -> Task | None:
    """One of the families that were found, by its number."""
    known = {str(pk) for pk, _people in redial.counts.get("families", [])}
    return Task.objects.filter(pk=int(text)).first() if text in known else None


@admin.register(Redial)
class RedialAdmin(CallboardAdmin):
    empty_hint = gettext_lazy(
        "Filter the calls or the contacts down to those who are to be called again, then choose"
        " “Call again…”."
    )
    read_only = True
    fields = ()
    show_full_result_count = False
    list_display = ("show_name", "show_status", "show_chosen", "show_task", "show_created")
    list_select_related = ("task", "family", "created_by")
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("family__account", RelatedDropdownFilter),
    )
    search_fields = ("name", "family__name")
    sortable_by = ()
    change_form_template = "admin/campaigns/redial/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("start/<str:kind>/", view(self.start), name="campaigns_redial_start"),
            *(
                path(
                    f"<path:object_id>/{verb}/",
                    view(getattr(self, verb)),
                    name=f"campaigns_redial_{verb}",
                )
                for verb in ("live", "again", "make", "cancel")
            ),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Redial]:
        rows = super().get_queryset(request)
        return rows.select_related("family__account", "robot", "task", "created_by")

    @admin.display(description=gettext_lazy("family"))
    def show_name(self, row: Redial) -> str:
        return row.family.name if row.family else str(row)

    @admin.display(description=gettext_lazy("status"))
    def show_status(self, row: Redial) -> Any:
        return make_badge(row.get_status_display(), STATUS_COLORS.get(row.status, ""))

    @admin.display(description=gettext_lazy("people"))
    def show_chosen(self, row: Redial) -> str:
        counts = row.counts
        return show_number(counts.get("made", counts.get("chosen")))

    @admin.display(description=gettext_lazy("draft"))
    def show_task(self, row: Redial) -> Any:
        return make_link(row.task)

    @admin.display(description=gettext_lazy("created"))
    def show_created(self, row: Redial) -> str:
        return show_moment(row.created_at)

    # ------------------------------------------------------------------------------- beginning

    def start(self, request: HttpRequest, kind: str) -> HttpResponse:
        """What was chosen in a list, in words; on a click it is counted."""
        if kind not in KINDS:
            raise Http404
        if not request.user.has_perm(ADD) or not request.user.has_perm(SEES[kind]):
            raise PermissionDenied
        try:
            criteria = read_criteria(kind, request.GET)
        except BadCriteria as bad:
            return self._show_start(request, kind, None, [str(bad)], status=400)
        problems: list[str] = []
        if request.method == "POST":
            newest = request.POST.get("newest_only") != "no"
            try:
                row = redialing.begin_redial(criteria, by=request.user, newest_only=newest)
            except redialing.RedialRefused as refused:
                problems = [str(refused)]
            else:
                return redirect("admin:campaigns_redial_change", row.pk)
        return self._show_start(request, kind, criteria, problems)

    def _show_start(
        self,
        request: HttpRequest,
        kind: str,
        criteria: Criteria | None,
        problems: list[str],
        *,
        status: int = 200,
    ) -> HttpResponse:
        model = "call" if kind == "calls" else "contact"
        response = self.show(
            request,
            "campaigns/redial_start.html",
            _("Call people again"),
            criteria=criteria,
            described=criteria.describe() if criteria else [],
            by_calls=kind == "calls",
            problems=problems,
            list_url=reverse(f"admin:campaigns_{model}_changelist"),
        )
        response.status_code = status
        return response

    # -------------------------------------------------------------------------------- the page

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return describe_redial(request, row)

    def live(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The live part of the page, again."""
        row = self.find_row(request, object_id)
        response = render(request, "campaigns/redial_live.html", describe_redial(request, row))
        response["Cache-Control"] = "no-store"
        return response

    def _find_for(self, request: HttpRequest, object_id: str) -> Redial:
        row: Redial = self.find_row(request, object_id)
        if not request.user.has_perm(ADD) or not request.user.has_perm(SEES[row.kind]):
            raise PermissionDenied
        return row

    def again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Count once more, perhaps for another family, or otherwise."""
        row = self._find_for(request, object_id)
        if request.method != "POST":
            return HttpResponse(status=405)
        text = request.POST.get("family", "")
        family = find_family(row, text)
        if text and family is None:
            messages.error(request, _("Choose one of the families that were found."))
            return redirect("admin:campaigns_redial_change", row.pk)
        newest = {"yes": True, "no": False}.get(request.POST.get("newest_only", ""))
        try:
            redialing.count_again(row, family=family, newest_only=newest, by=request.user)
        except redialing.RedialRefused as refused:
            messages.error(request, str(refused))
        return redirect("admin:campaigns_redial_change", row.pk)

    def make(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Have the draft made of those who were chosen."""
        row = self._find_for(request, object_id)
        if request.method != "POST":
            return redirect("admin:campaigns_redial_change", row.pk)
        form = MakeForm(request.POST, redial=row)
        if form.is_valid():
            try:
                redialing.confirm_redial(
                    row,
                    name=form.cleaned_data["name"],
                    robot=form.cleaned_data["robot"],
                    mapping=read_columns(form, form.columns),
                    seen=request.POST.get("stamp", ""),
                    by=request.user,
                )
            except redialing.RedialRefused as refused:
                form.refuse(refused.errors)
            else:
                return redirect("admin:campaigns_redial_change", row.pk)
        return self.show(
            request,
            "campaigns/redial_page.html",
            _("Call people again"),
            **describe_redial(request, row, form=form),
        )

    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self._find_for(request, object_id)
        if request.method != "POST":
            return HttpResponse(status=405)
        try:
            redialing.cancel_redial(row, by=request.user)
        except redialing.RedialRefused as refused:
            messages.error(request, str(refused))
        return redirect("admin:campaigns_redial_change", row.pk)


def describe_redial(
    request: HttpRequest, row: Redial, *, form: MakeForm | None = None
) -> dict[str, Any]:
    criteria = redialing.read_chosen(row)
    counts = row.counts
    may_go_on = request.user.has_perm(ADD) and request.user.has_perm(SEES[row.kind])
    can_make = may_go_on and row.status == "counted" and bool(counts.get("chosen"))
    total, done = row.progress_end, row.progress
    model = "call" if row.kind == "calls" else "contact"
    list_url = reverse(f"admin:campaigns_{model}_changelist")
    families = counts.get("families", [])
    names = dict(
        Task.objects.filter(pk__in=[pk for pk, _people in families]).values_list("pk", "name")
    )
    return {
        "redial": row,
        "status": make_badge(row.get_status_display(), STATUS_COLORS.get(row.status, "")),
        "is_active": row.status in Redial.BUSY,
        "percent": int(100 * done / total) if total else None,
        "done": show_number(done),
        "total": show_number(total),
        "described": criteria.describe() if criteria else [],
        # what was searched for may be a whole number: it stands in no address of ours
        "list_url": f"{list_url}?{criteria.make_query()}"
        if criteria and "q" not in criteria.params
        else "",
        "is_counted": "people" in counts and row.status != "counting",
        "rows": show_number(counts.get("rows")),
        "without_contact": counts.get("without_contact", 0),
        "people": show_number(counts.get("people")),
        "chosen": show_number(counts.get("made", counts.get("chosen"))),
        "left_out": [
            (REASONS[why], show_number(number))
            for why, number in counts.get("left_out", {}).items()
            if why in REASONS
        ],
        "families": [
            {
                "pk": pk,
                "name": names[pk],
                "people": show_number(people),
                "is_chosen": pk == row.family_id,
            }
            for pk, people in families
            if pk in names
        ],
        "counted": tell_age(row.counted_at) if row.counted_at else "",
        "stamp": redialing.stamp_of(row),
        "form": (form or MakeForm(redial=row)) if can_make else None,
        "may_count": may_go_on and row.status in ("counted", "failed"),
        "may_cancel": may_go_on and row.status in ("counting", "counted", "making", "failed"),
        "task_color": TASK_COLORS.get(row.task.status, "") if row.task else "",
    }
