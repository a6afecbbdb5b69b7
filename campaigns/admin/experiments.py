"""In: models/lineage.py, Experiment; a draft that somebody parts. Out: the form that parts it, the
list of experiments, and the page of one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from campaigns import experiments
from campaigns.admin.base import (
    LAUNCH,
    CallboardAdmin,
    make_badge,
    make_link,
    show_moment,
    tell_age,
)
from campaigns.admin.experiment_page import STATUS_COLORS, describe_experiment, tell_measure
from campaigns.admin.task_form import RobotField, list_fields
from campaigns.experiments.splitting import complete_mapping
from campaigns.models import Experiment, Robot, Task, Voice
from campaigns.queue import enqueue

ADD = "campaigns.add_experiment"
#: stands for an empty cell among the columns to choose from
NOTHING = "-"


class ColumnField(forms.ChoiceField):
    """Where a column of the robot comes from, or that it stays empty."""

    def __init__(self, column: str, known: list[str]) -> None:
        super().__init__(
            label=_("Column “%(column)s” is filled with") % {"column": column},
            choices=[
                ("", _("choose…")),
                *((f"={name}", name) for name in known),
                (NOTHING, _("nothing: an empty cell")),
            ],
            widget=UnfoldAdminSelectWidget(),
        )


def read_columns(form: forms.Form, columns: list[str]) -> dict[str, str]:
    """{column: column of the rows, "" for an empty cell} of what was chosen."""
    chosen = {}
    for place, column in enumerate(columns):
        value = form.cleaned_data.get(f"column_{place}")
        if value:
            chosen[column] = "" if value == NOTHING else value[1:]
    return chosen


class SplitForm(forms.Form):
    """The other group, how large it is, and what decides."""

    name = forms.CharField(
        label=gettext_lazy("name of the experiment"),
        max_length=90,
        widget=UnfoldAdminTextInputWidget(),
    )
    robot = RobotField(
        Robot.objects.none(),
        label=gettext_lazy("robot of group B"),
        widget=UnfoldAdminSelectWidget(),
    )
    voice = forms.ModelChoiceField(
        Voice.objects.none(),
        label=gettext_lazy("voice of group B"),
        required=False,
        empty_label=gettext_lazy("as the robot has it"),
        widget=UnfoldAdminSelectWidget(),
    )
    share = forms.IntegerField(
        label=gettext_lazy("percent of the people in group B"),
        initial=50,
        min_value=1,
        max_value=99,
        help_text=gettext_lazy("With 50 a difference shows soonest."),
        widget=UnfoldAdminIntegerFieldWidget(),
    )
    measure = forms.ChoiceField(
        label=gettext_lazy("what decides"),
        choices=Experiment.Measure.choices,
        help_text=gettext_lazy(
            "Chosen now, before there are numbers: of many rates one always looks different by"
            " chance."
        ),
        widget=UnfoldAdminSelectWidget(),
    )
    measure_intention = forms.CharField(
        label=gettext_lazy("which intention, if one decides"),
        max_length=50,
        required=False,
        widget=UnfoldAdminTextInputWidget(),
    )

    def __init__(self, data: Any = None, *, task: Task) -> None:
        super().__init__(data, initial={"name": task.name[:90], "robot": task.robot_id})
        self.task = task
        robots = Robot.objects.filter(account=task.account, gone_at=None, deleted=False)
        self._offer("robot", robots.filter(state=Robot.State.PUBLISHED).order_by("name"))
        if "voice" in list_fields(task.account):
            self._offer("voice", Voice.objects.filter(account=task.account, gone_at=None))
        else:
            del self.fields["voice"]
        self.columns = self._find_columns(data)
        known = experiments.list_columns(task)
        for place, column in enumerate(self.columns):
            self.fields[f"column_{place}"] = ColumnField(column, known)

    def _offer(self, name: str, rows: Any) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = rows

    def _find_columns(self, data: Any) -> list[str]:
        """The columns of the chosen robot that the rows have none of the same name for."""
        try:
            robot = self.fields["robot"].clean(data.get("robot") if data else None)
        except forms.ValidationError:
            return []
        return complete_mapping(self.task, robot, {})[1]

    def read_mapping(self) -> dict[str, str]:
        return read_columns(self, self.columns)

    def refuse(self, errors: dict[str, list[str]]) -> None:
        for field, sentences in errors.items():
            self.add_error(field if field in self.fields else None, sentences)


def split(model_admin: CallboardAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Ask for the other group; then have the contacts parted."""
    task: Task = model_admin.find_row(request, object_id)
    if not request.user.has_perm(ADD):
        raise PermissionDenied
    problems = experiments.check_split(task)
    form = SplitForm(request.POST if request.method == "POST" else None, task=task)
    if request.method == "POST" and not problems and form.is_valid():
        data = form.cleaned_data
        try:
            experiment = experiments.begin_experiment(
                task,
                name=data["name"],
                robot=data["robot"],
                voice=data.get("voice"),
                share=data["share"],
                mapping=form.read_mapping(),
                measure=data["measure"],
                measure_intention=data["measure_intention"],
                by=request.user,
            )
        except experiments.ExperimentRefused as refused:
            form.refuse(refused.errors)
        else:
            messages.success(request, _("The contacts are being parted."))
            return redirect("admin:campaigns_experiment_change", experiment.pk)
    return model_admin.show(
        request,
        "campaigns/task_split.html",
        _("Compare two robots or voices: %(task)s") % {"task": task.name},
        task=task,
        form=form,
        problems=problems,
        ready=task.contacts.filter(status="ready").count(),
    )


@admin.register(Experiment)
class ExperimentAdmin(CallboardAdmin):
    empty_hint = gettext_lazy(
        "Two robots or voices, the same people parted by chance. Begin on the page of a draft that"
        " has contacts: “Compare two robots…”."
    )
    read_only = True
    fields = ()
    show_full_result_count = False
    list_display = ("name", "show_status", "show_first", "show_second", "show_measure", "show_age")
    list_select_related = ("first", "second")
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("first__account", RelatedDropdownFilter),
    )
    search_fields = ("name", "first__name")
    sortable_by = ()
    change_form_template = "admin/campaigns/experiment/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<path:object_id>/live/", view(self.show_live), name="campaigns_experiment_live"),
            path("<path:object_id>/count/", view(self.count), name="campaigns_experiment_count"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Experiment]:
        rows = super().get_queryset(request)
        return rows.select_related(
            "first__robot", "first__voice", "second__robot", "second__voice", "created_by"
        )

    @admin.display(description=gettext_lazy("status"))
    def show_status(self, row: Experiment) -> Any:
        return make_badge(row.get_status_display(), STATUS_COLORS.get(row.status, ""))

    @admin.display(description=gettext_lazy("task A"))
    def show_first(self, row: Experiment) -> Any:
        return make_link(row.first)

    @admin.display(description=gettext_lazy("task B"))
    def show_second(self, row: Experiment) -> Any:
        return make_link(row.second)

    @admin.display(description=gettext_lazy("decided by"))
    def show_measure(self, row: Experiment) -> str:
        return tell_measure(row)

    @admin.display(description=gettext_lazy("created"))
    def show_age(self, row: Experiment) -> str:
        return show_moment(row.created_at)

    # -------------------------------------------------------------------------------- the page

    def add_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return describe_experiment(row, may_launch=request.user.has_perm(LAUNCH))

    def show_live(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The live part of the page, again."""
        row = self.find_row(request, object_id)
        response = render(request, "campaigns/experiment_live.html", self.add_context(request, row))
        response["Cache-Control"] = "no-store"
        return response

    def count(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Have it counted again now."""
        if request.method != "POST":
            return HttpResponse(status=405)
        row = self.find_row(request, object_id)
        enqueue(
            "campaigns.jobs.count_experiment", once=f"experiment-{row.pk}", experiment_id=row.pk
        )
        messages.success(
            request, _("It is counted again; last %(age)s.") % {"age": tell_age(row.counted_at)}
        )
        return redirect("admin:campaigns_experiment_change", row.pk)
